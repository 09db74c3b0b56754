# Asynchronous generators, context managers and comprehensions.
import asyncio
from contextlib import asynccontextmanager

async def ticks(n):
    try:
        for i in range(n):
            await asyncio.sleep(0)
            yield i
    finally:
        print("ticks end")

class Countdown:
    def __init__(self, start):
        self.left = start

    def __aiter__(self):
        return self

    async def __anext__(self):
        if not self.left:
            raise StopAsyncIteration
        self.left -= 1
        return self.left + 1

@asynccontextmanager
async def connection(name):
    print("connect", name)
    yield name.upper()
    print("disconnect", name)

async def main():
    print([x async for x in Countdown(3)], {i: i * i async for i in ticks(4) if i % 2})
    async with connection("db") as db:
        print(db)
    events = []
    event = asyncio.Event()

    async def wait(name):
        await event.wait()
        events.append(name)

    async with asyncio.TaskGroup() as group:
        group.create_task(wait("x"))
        group.create_task(wait("y"))
        await asyncio.sleep(0)
        event.set()
    print(events)

asyncio.run(main())
