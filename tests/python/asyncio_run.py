import asyncio

async def main():
    await asyncio.sleep(0.01)
    return asyncio.current_task().get_name() != ""

if __name__ == "__main__":
    print(asyncio.run(main()))
    with asyncio.Runner() as runner:
        print(runner.run(main()))
    print(asyncio.new_event_loop().run_until_complete(main()))
#> True
#> True
#> True
