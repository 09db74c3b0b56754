# Tasks together, with a time limit, an error and a cancellation.
import asyncio

async def job(name, seconds, fails=False):
    try:
        await asyncio.sleep(seconds)
        if fails:
            raise ValueError(f"{name} failed")
        return name
    except asyncio.CancelledError:
        print(name, "was cancelled")
        raise

async def main():
    print(await asyncio.gather(job("slow", 0.03), job("fast", 0.01)))
    print([repr(r) for r in await asyncio.gather(job("a", 0.01), job("b", 0.01, True), return_exceptions=True)])
    try:
        await asyncio.wait_for(job("late", 5), 0.02)
    except TimeoutError:
        print("timed out")
    done, pending = await asyncio.wait([asyncio.create_task(job("one", 0.01)), asyncio.create_task(job("two", 5))], return_when=asyncio.FIRST_COMPLETED)
    print(sorted(task.result() for task in done), len(pending))
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    async with asyncio.timeout(1):
        print("in time")

asyncio.run(main())
