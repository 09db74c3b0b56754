import asyncio

async def worker(name):
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        print(name, "cleans up")
        await asyncio.sleep(0.01)
        raise
    finally:
        print(name, "ends")

task = asyncio.create_task(worker("a"))
await asyncio.sleep(0.01)
task.cancel("enough")
try:
    await task
except asyncio.CancelledError as error:
    print(error.args)
shielded = asyncio.create_task(asyncio.sleep(0.05, "kept"))
try:
    await asyncio.wait_for(asyncio.shield(shielded), 0.01)
except TimeoutError:
    print("late", await shielded)
#> a cleans up
#> a ends
#> ('enough',)
#> late kept
