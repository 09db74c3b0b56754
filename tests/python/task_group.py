import asyncio

async def work(n):
    await asyncio.sleep(n / 50)
    if n == 2:
        raise ValueError("two")
    return n

async with asyncio.TaskGroup() as group:
    tasks = [group.create_task(work(n)) for n in (1, 3)]
print([task.result() for task in tasks])
try:
    async with asyncio.TaskGroup() as group:
        slow = group.create_task(asyncio.sleep(60))
        group.create_task(work(2))
except* ValueError as errors:
    print(errors.exceptions, slow.cancelled())
#> [1, 3]
#> (ValueError('two'),) True
