import asyncio

lock, event, order = asyncio.Lock(), asyncio.Event(), []

async def holder(n):
    async with lock:
        order.append(n)
        await asyncio.sleep(0)

async def waiter():
    await event.wait()
    return "woken"

waiting = asyncio.create_task(waiter())
await asyncio.gather(*(holder(n) for n in range(4)))
event.set()
print(order, await waiting)
semaphore, most, now = asyncio.Semaphore(2), 0, 0

async def limited():
    global most, now
    async with semaphore:
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.01)
        now -= 1

await asyncio.gather(*(limited() for _ in range(6)))
barrier = asyncio.Barrier(2)
print(most, sorted(await asyncio.gather(barrier.wait(), barrier.wait())))
#> [0, 1, 2, 3] woken
#> 2 [0, 1]
