import asyncio, time

async def nap(n):
    await asyncio.sleep(1)
    return n

start = time.monotonic()
print(await asyncio.gather(*(nap(n) for n in range(10))))
print(1 <= round(time.monotonic() - start, 3) < 2)
#> [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
#> True
