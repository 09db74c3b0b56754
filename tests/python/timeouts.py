import asyncio, time

start = time.monotonic()
try:
    async with asyncio.timeout(0.05):
        await asyncio.sleep(60)
except TimeoutError as error:
    print(repr(error))
try:
    await asyncio.wait_for(asyncio.Event().wait(), 0.05)
except TimeoutError:
    print("wait_for")
async with asyncio.timeout(None) as scope:
    scope.reschedule(asyncio.get_running_loop().time() + 60)
    print(await asyncio.sleep(0.01, "in time"), scope.expired())
loop, called = asyncio.get_running_loop(), []
loop.call_later(0.02, called.append, "later")
loop.call_soon(called.append, "soon")
handle = loop.call_later(0.01, called.append, "never")
handle.cancel()
await asyncio.sleep(0.05)
print(called, time.monotonic() - start < 5)
#> TimeoutError()
#> wait_for
#> in time False
#> ['soon', 'later'] True
