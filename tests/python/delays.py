import asyncio, math, time
from decimal import Decimal
import everstep


def told(what, *args):
    try:
        what(*args)
        print(*args, "fine")
    except Exception as error:
        print(type(error).__name__, "|", error)


for seconds in (-1, -1e-12, -math.inf, math.nan, math.inf, 1e300, 10**30, "1", None, Decimal(1), 1j):
    told(time.sleep, seconds)
told(time.sleep, 0)
told(time.sleep, True)
told(time.sleep, 1e-12)


async def waited(what):
    try:
        print("waited", await what)
    except (Exception, asyncio.CancelledError) as error:
        print(repr(error))


for seconds in (math.nan, "1", -1, -math.inf, 0.001):
    await waited(asyncio.sleep(seconds, "slept"))
# What is longer than the host can count is for ever, and the program goes on beside it.
for seconds in (1e18, 1e300, math.inf, 10**30):
    await waited(asyncio.wait_for(asyncio.sleep(seconds), 0.001))
    await waited(asyncio.wait_for(asyncio.sleep(0.001, "slept"), seconds))
    async with asyncio.timeout(seconds):
        await asyncio.sleep(0)
await waited(asyncio.wait_for(asyncio.sleep(math.inf), -1))
done, pending = await asyncio.wait({asyncio.create_task(asyncio.sleep(1e18)), asyncio.create_task(asyncio.sleep(0.001))}, timeout=1e300, return_when="FIRST_COMPLETED")
print(len(done), len(pending))
for task in pending:
    task.cancel()
# A time that is no number is now, as in asyncio itself.
told(asyncio.get_running_loop().call_later, math.nan, print, "now")
await asyncio.sleep(0.001)
# Calls take what can be counted, and refuse what is no number of seconds.
calls = everstep.promise, everstep.ask, lambda timeout: everstep.request("x", timeout=timeout), lambda timeout: everstep.call("x", timeout=timeout)
for timeout in (math.nan, "1", 1e30, math.inf, -1, 0.0001):
    ends = []
    for call in calls:
        try:
            call(timeout=timeout).send(None)
            ends.append("begun")
        except Exception as error:
            ends.append(type(error).__name__)
    print(*ends)
#> ValueError | sleep length must be non-negative
#> ValueError | sleep length must be non-negative
#> OverflowError | timestamp out of range for platform time_t
#> ValueError | Invalid value NaN (not a number)
#> OverflowError | timestamp out of range for platform time_t
#> OverflowError | timestamp out of range for platform time_t
#> OverflowError | timestamp too large to convert to C PyTime_t
#> TypeError | 'str' object cannot be interpreted as an integer or float
#> TypeError | 'NoneType' object cannot be interpreted as an integer or float
#> TypeError | 'decimal.Decimal' object cannot be interpreted as an integer or float
#> TypeError | 'complex' object cannot be interpreted as an integer or float
#> 0 fine
#> True fine
#> 1e-12 fine
#> ValueError('Invalid delay: NaN (not a number)')
#> TypeError("'<=' not supported between instances of 'str' and 'int'")
#> waited slept
#> waited slept
#> waited slept
#> TimeoutError()
#> waited slept
#> TimeoutError()
#> waited slept
#> TimeoutError()
#> waited slept
#> TimeoutError()
#> waited slept
#> TimeoutError()
#> 1 1
#> nan <built-in function print> now fine
#> now
#> ValueError ValueError ValueError ValueError
#> TypeError TypeError TypeError TypeError
#> Denied begun Denied Denied
#> Denied begun Denied Denied
#> Denied begun Denied Denied
#> Denied begun Denied Denied
