import asyncio

async def producer(queue):
    for n in range(5):
        await queue.put(n)
        await asyncio.sleep(0.001 * (n % 2))
    queue.shutdown()

async def consumer(queue, seen):
    try:
        while True:
            seen.append(await queue.get())
            queue.task_done()
    except asyncio.QueueShutDown:
        return len(seen)

queue, seen = asyncio.Queue(maxsize=2), []
print(await asyncio.gather(producer(queue), consumer(queue, seen)), seen)
heap = asyncio.PriorityQueue()
for n in (3, 1, 2):
    heap.put_nowait(n)
print([heap.get_nowait() for _ in range(3)])
#> [None, 5] [0, 1, 2, 3, 4]
#> [1, 2, 3]
