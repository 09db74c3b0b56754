"""`aiohttp`, as programs use it: SITE, a server that refuses connections, and one that the policy does not name are the arguments."""

import asyncio
import io
import sys

import aiohttp

site, nobody, denied = sys.argv[1:]


async def body(asked):
    async with asked as answer:
        return (await answer.json())["body"].replace("\r\n", "|")


async def parts():
    for part in [b"one ", b"two"]:
        await asyncio.sleep(0)
        yield part


async def told(asked):
    try:
        async with asked as answer:
            return await answer.text()
    except (aiohttp.ClientError, TimeoutError) as error:
        return type(error).__name__, str(error)


async def main():
    # Cookies of a server without a name are kept when they are asked for.
    async with aiohttp.ClientSession(headers={"X-Own": "mine"}, cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        async with session.get(f"{site}/echo", params={"q": "a b"}) as answer:
            found = await answer.json()
            print(answer.status, answer.headers["X-GOT"], found["line"], found["own"])
        #> 200 yes GET /echo?q=a+b mine
        print(await body(session.post(f"{site}/echo", json={"n": 1})), await body(session.post(f"{site}/echo", data={"a": "x y"})))
        #> {"n": 1} a=x+y
        form = aiohttp.FormData()
        form.add_field("file", io.BytesIO(b"content"), filename="a.txt", content_type="text/plain")
        print((await body(session.post(f"{site}/echo", data=form))).count("BOUNDARY"))
        #> 2
        print(await body(session.put(f"{site}/echo", data=parts())))
        #> one two
        async with session.get(f"{site}/lines") as answer:
            print([line async for line in answer.content], answer.content.at_eof())
        #> [b'line 0\n', b'line 1\n', b'line 2\n'] True
        async with session.get(f"{site}/lines") as answer:
            print([part async for part in answer.content.iter_chunked(9)])
        #> [b'line 0\nli', b'ne 1\nline', b' 2\n']
        async with session.get(f"{site}/cookies") as answer:
            print(answer.headers.getall("set-cookie"), sorted(answer.cookies))
        #> ['a=1; Path=/', 'b=2, 3; Path=/', 'c=4; Path=/only'] ['a', 'b', 'c']
        async with session.get(f"{site}/moved") as answer:
            print(answer.url.path, [one.status for one in answer.history], (await answer.json())["cookie"])
        #> /echo [302] a=1; b="2\054 3"; d=5
        print(await body(session.post(f"{site}/keep", data=b"kept")))
        #> kept
        lines = await asyncio.gather(*(told(session.get(f"{site}/hello")) for _ in range(5)))
        print(lines)
        #> ['hello', 'hello', 'hello', 'hello', 'hello']
        print((await told(session.get(f"{site}/loop")))[0])
        #> TooManyRedirects
        print((await told(session.get(f"{site}/stalls", timeout=aiohttp.ClientTimeout(total=0.3))))[0])
        #> TimeoutError
        print((await told(session.get(f"{site}/stalls", timeout=aiohttp.ClientTimeout(sock_read=0.3))))[0])
        #> SocketTimeoutError
        print((await told(session.get(nobody)))[0])
        #> ClientOSError
        name, text = await told(session.get(f"{denied}/secret"))
        print(name, "fetch GET 127.0.0.2" in text)
        #> ClientConnectorError True
        name, text = await told(session.delete(f"{site}/echo"))
        print(name, "fetch DELETE 127.0.0.1" in text)
        #> ClientOSError True
        try:
            async with session.get(f"{site}/gone", raise_for_status=True):
                pass
        except aiohttp.ClientResponseError as error:
            print(error.status, error.message)
        #> 410 Gone


asyncio.run(main())
