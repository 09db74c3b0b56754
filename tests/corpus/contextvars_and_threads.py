# Context variables, thread-locals, conditions and barriers.
import asyncio
import contextvars
import threading

user = contextvars.ContextVar("user", default="nobody")
log = []

async def handle(name):
    token = user.set(name)
    await asyncio.sleep(0)
    log.append((name, user.get()))
    user.reset(token)
    return user.get()

async def main():
    print(await asyncio.gather(handle("ada"), handle("bob")))

asyncio.run(main())
print(sorted(log), user.get(), contextvars.copy_context().run(lambda: (user.set("x"), user.get())[1]), user.get())
local, seen = threading.local(), {}

def work(n):
    local.value = n
    seen[n] = local.value

threads = [threading.Thread(target=work, args=(n,), name=f"w{n}") for n in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(seen, hasattr(local, "value"), threading.current_thread().name, threads[0].is_alive())
ready, items = threading.Condition(), []

def consumer():
    with ready:
        while not items:
            ready.wait()
        seen["got"] = items.pop()

thread = threading.Thread(target=consumer)
thread.start()
with ready:
    items.append("item")
    ready.notify()
thread.join()
print(seen["got"])
