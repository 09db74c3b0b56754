# Producers and a consumer over a queue.
import asyncio

async def produce(queue, name, items):
    for item in items:
        await queue.put((name, item))
        await asyncio.sleep(0)
    await queue.put((name, None))

async def main():
    queue = asyncio.Queue()
    producers = [asyncio.create_task(produce(queue, name, range(count))) for name, count in (("a", 3), ("b", 2))]
    running, got = len(producers), {}
    while running:
        name, item = await queue.get()
        if item is None:
            running -= 1
            print(name, "is done with", got[name])
        else:
            got.setdefault(name, []).append(item)
    await asyncio.gather(*producers)
    print("empty:", queue.empty())

asyncio.run(main())
