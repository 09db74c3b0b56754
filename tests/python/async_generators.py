import asyncio, contextlib

async def ticks(n):
    try:
        for i in range(n):
            await asyncio.sleep(0.001)
            yield i
    finally:
        print("closed")

print([i async for i in ticks(3)])
async with contextlib.aclosing(ticks(9)) as source:
    async for i in source:
        if i == 1:
            break
print({i: i * i async for i in ticks(2)}, await anext(aiter(ticks(1))))

@contextlib.asynccontextmanager
async def scope():
    yield "inside"

async with scope() as word:
    print(word)
#> closed
#> [0, 1, 2]
#> closed
#> closed
#> {0: 0, 1: 1} 0
#> inside
#> closed
