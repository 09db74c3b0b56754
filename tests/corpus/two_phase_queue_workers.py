# Workers that take jobs over queues, with results in order and errors told.
import asyncio

async def worker(name, jobs, results):
    while True:
        number, work = await jobs.get()
        try:
            results[number] = await work()
        except Exception as error:
            results[number] = f"{type(error).__name__}: {error}"
        finally:
            jobs.task_done()

def job(n):
    async def work():
        await asyncio.sleep(0.001 * (5 - n % 5))
        if n == 3:
            raise ValueError("three")
        return n * n
    return work

async def main():
    jobs, results = asyncio.PriorityQueue(), {}
    for n in range(8):
        jobs.put_nowait((n, job(n)))
    workers = [asyncio.create_task(worker(f"w{i}", jobs, results), name=f"w{i}") for i in range(3)]
    await jobs.join()
    for each in workers:
        each.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    print([results[n] for n in sorted(results)], all(each.cancelled() for each in workers), [each.get_name() for each in workers])

asyncio.run(main())
