import asyncio

async def after(n):
    await asyncio.sleep(n / 20)
    return n

print([await one for one in asyncio.as_completed([after(3), after(1), after(2)])])
done, pending = await asyncio.wait([asyncio.create_task(after(n)) for n in (1, 9)], return_when=asyncio.FIRST_COMPLETED)
print([task.result() for task in done], len(pending))
for task in pending:
    task.cancel()
print(await asyncio.gather(*pending, return_exceptions=True))
#> [1, 2, 3]
#> [1] 1
#> [CancelledError('')]
