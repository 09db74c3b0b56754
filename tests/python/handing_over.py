# Threads that hand things over: over queues with a bound, and to an event loop and back.
import asyncio, concurrent.futures as futures, queue, threading, time

between, taken = queue.Queue(maxsize=1), []
def make():
    for n in range(5):
        between.put(n)
    between.put(None)
def take():
    while (item := between.get()) is not None:
        taken.append(item)
for threads in [(make, take), (take, make)]:
    threads = [threading.Thread(target=function) for function in threads]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
print(taken)

work, done = queue.Queue(2), []
def serve():
    while True:
        done.append(work.get() ** 2)
        work.task_done()
threading.Thread(target=serve, daemon=True).start()
for n in range(6):
    work.put(n)
work.join()
print(done)

full = queue.Queue(1)
full.put(1)
for options in [{"block": False}, {"timeout": 0.01}]:
    try:
        full.put(2, **options)
    except queue.Full:
        print("full", full.qsize(), full.full())

async def doubled(n):
    await asyncio.sleep(0.01)
    return 2 * n

async def never():
    await asyncio.Event().wait()

async def main():
    loop, event, fed = asyncio.get_running_loop(), threading.Event(), queue.Queue()

    def asks():
        asked = [asyncio.run_coroutine_threadsafe(doubled(n), loop) for n in range(3)]
        found = [asked[0].result(), *(one.result(timeout=60) for one in asked[1:])]
        late = asyncio.run_coroutine_threadsafe(never(), loop)
        try:
            late.result(timeout=0.01)
        except TimeoutError:
            late.cancel()
            found.append("late")
        return found

    async def feeds():
        for n in range(3):
            await asyncio.sleep(0.001)
            fed.put(n)
        event.set()

    def eats():
        return [fed.get() for _ in range(3)], event.wait(), event.wait(60)

    feeding = asyncio.create_task(feeds())
    print(await asyncio.to_thread(asks), await asyncio.to_thread(eats), await loop.run_in_executor(None, asks))
    await feeding
    nested = await asyncio.gather(*(asyncio.to_thread(lambda n=n: asyncio.run_coroutine_threadsafe(doubled(n), loop).result()) for n in range(4)))
    print(nested)

    def raises():
        async def fails():
            raise KeyError("inside")
        return repr(asyncio.run_coroutine_threadsafe(fails(), loop).exception())

    print(await asyncio.to_thread(raises))

asyncio.run(main())

try:
    asyncio.get_running_loop()
except RuntimeError as error:
    print(error)
#> [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]
#> [0, 1, 4, 9, 16, 25]
#> full 1 True
#> full 1 True
#> [0, 2, 4, 'late'] ([0, 1, 2], True, True) [0, 2, 4, 'late']
#> [0, 2, 4, 6]
#> KeyError('inside')
#> no running event loop
