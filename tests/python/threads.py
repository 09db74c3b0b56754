# Threads take turns: each runs when another one waits.
import asyncio, concurrent.futures as futures, queue, threading, time

def square(n):
    time.sleep(0.01)
    return n * n

work, done = queue.Queue(), []
def serve():
    while True:
        done.append((threading.current_thread().name, work.get()))
        work.task_done()
for n in range(2):
    threading.Thread(target=serve, daemon=True, name=f"server-{n}").start()
for n in range(4):
    work.put(n)
work.join()
print(sorted(n for _, n in done), {name for name, _ in done} <= {"server-0", "server-1"})

with futures.ThreadPoolExecutor(max_workers=3, initializer=print, initargs=("begins",)) as pool:
    print(list(pool.map(square, range(5))), pool.submit(pow, 2, 5).result())
    print([future.result() for future in futures.as_completed([pool.submit(square, n) for n in range(3)])])
    print(type(pool.submit(int, "x").exception()).__name__, len(futures.wait([pool.submit(square, 2)]).done))
try:
    pool.submit(print)
except RuntimeError as error:
    print(error)

async def main():
    print(await asyncio.gather(asyncio.to_thread(square, 3), asyncio.to_thread(square, 4), asyncio.sleep(0.001, "slept")))
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    threading.Thread(target=loop.call_soon_threadsafe, args=(told.set,)).start()
    await told.wait()
    print(await loop.run_in_executor(None, threading.current_thread) is threading.main_thread())
await main()
asyncio.run(main())

here = threading.local()
here.value = "main"
def look():
    print(hasattr(here, "value"), threading.get_ident() == threading.main_thread().ident)
    here.value = "thread"
thread = threading.Thread(target=look)
thread.start()
print(thread.is_alive())
thread.join()
print(here.value, thread.is_alive())

canceled, late = threading.Timer(3600, print, ["never"]), threading.Timer(0.02, print, ["timer"])
canceled.start()
late.start()
canceled.cancel()
time.sleep(0.05)
print("after the timer")

# What ends with a time, and what nothing can end.
lock, event, condition = threading.Lock(), threading.Event(), threading.Condition()
print(lock.acquire(), lock.acquire(timeout=0.01), lock.acquire(False), event.wait(0.01), lock.locked())
with condition:
    print(condition.wait(0.01))
try:
    queue.Queue().get(timeout=0.01)
except queue.Empty:
    print("empty")
for wait in (lock.acquire, event.wait, queue.Queue().get, queue.SimpleQueue().get, threading.Barrier(2).wait):
    try:
        wait()
    except RuntimeError as error:
        print(str(error).partition(":")[0])

count = 0
def add():
    global count
    for _ in range(100):
        with guard:
            count += 1
guard = threading.Lock()
threads = [threading.Thread(target=add) for _ in range(5)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(count, threading.active_count())

threading.excepthook = lambda failed: print(failed.thread.name, failed.exc_value)
threading.Thread(target=lambda: 1 / 0, name="fails").start()
threading.Thread(target=print, args=("at the end",)).start()
threading.Thread(target=print, args=("never",), daemon=True).start()
print("end of the program")
#> [0, 1, 2, 3] True
#> begins
#> [0, 1, 4, 9, 16] 32
#> [0, 1, 4]
#> ValueError 1
#> cannot schedule new futures after shutdown
#> [9, 16, 'slept']
#> False
#> [9, 16, 'slept']
#> False
#> True
#> False False
#> main False
#> timer
#> after the timer
#> True False False False True
#> False
#> empty
#> the program waits for something that nothing can make happen
#> the program waits for something that nothing can make happen
#> the program waits for something that nothing can make happen
#> the program waits for something that nothing can make happen
#> the program waits for something that nothing can make happen
#> 500 1
#> end of the program
#> fails division by zero
#> at the end
