# A crawler of a made-up site with three workers at most.
import asyncio

SITE = {"/": ["/a", "/b"], "/a": ["/a/1", "/b"], "/b": ["/b/1", "/b/2"], "/a/1": [], "/b/1": ["/"], "/b/2": ["/missing"]}
running = most = 0

async def fetch(path, limit):
    global running, most
    async with limit:
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.002)
        running -= 1
        if path not in SITE:
            raise LookupError(path)
        return SITE[path]

async def crawl(start):
    limit, seen, level, broken = asyncio.Semaphore(2), {start}, [start], []
    depth = 0
    while level:
        print(depth, sorted(level))
        results = await asyncio.gather(*(fetch(path, limit) for path in level), return_exceptions=True)
        broken += [str(result) for result in results if isinstance(result, LookupError)]
        found = {link for links in results if isinstance(links, list) for link in links}
        level = sorted(found - seen)
        seen |= found
        depth += 1
    return broken

print("broken:", asyncio.run(crawl("/")), "at once:", most)
