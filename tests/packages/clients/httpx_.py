"""`httpx`, both kinds, as programs use it: SITE, a server that refuses connections, and one that the policy does not name are the arguments."""

import asyncio
import sys

import httpx

site, nobody, denied = sys.argv[1:]


def shown(response):
    return response.json()["body"].replace("\r\n", "|")


with httpx.Client(base_url=site, headers={"X-Own": "mine"}) as client:
    answer = client.get("/echo", params={"q": "a b"})
    print(answer.status_code, answer.headers["X-GOT"], answer.json()["line"], answer.json()["own"], answer.http_version)
    #> 200 yes GET /echo?q=a+b mine HTTP/1.1
    print(shown(client.post("/echo", json={"n": 1})), shown(client.post("/echo", data={"a": "x y"})))
    #> {"n":1} a=x+y
    print(shown(client.post("/echo", files={"file": ("a.txt", b"content", "text/plain")})))
    #> --BOUNDARY|Content-Disposition: form-data; name="file"; filename="a.txt"|Content-Type: text/plain||content|--BOUNDARY--|
    print(shown(client.put("/echo", content=(part for part in [b"one ", b"two"]))))
    #> one two
    with client.stream("GET", "/lines") as answer:
        print(list(answer.iter_lines()))
    #> ['line 0', 'line 1', 'line 2']
    answer = client.get("/cookies")
    print(answer.headers.get_list("set-cookie"), sorted(client.cookies.items()))
    #> ['a=1; Path=/', 'b=2, 3; Path=/', 'c=4; Path=/only'] [('a', '1'), ('b', '2, 3'), ('c', '4')]
    answer = client.get("/moved", follow_redirects=True)
    print(answer.url.path, [one.status_code for one in answer.history], answer.json()["cookie"])
    #> /echo [302] a=1; b=2, 3; d=5
    print(shown(client.post("/keep", content=b"kept", follow_redirects=True)), client.get("/moved").status_code)
    #> kept 302


def reasons(error):
    """What an error says, and those that it was raised from."""
    return "" if error is None else f"{error} {reasons(error.__cause__)}"


def told(call):
    try:
        return call()
    except httpx.HTTPError as error:
        return type(error).__name__, reasons(error)


print(told(lambda: httpx.get(f"{site}/loop", follow_redirects=True))[0])
#> TooManyRedirects
print(told(lambda: httpx.get(f"{site}/stalls", timeout=0.3))[0], told(lambda: httpx.get(nobody))[0])
#> ReadTimeout ReadError
name, text = told(lambda: httpx.get(f"{denied}/secret"))
print(name, "fetch GET 127.0.0.2" in text)
#> ConnectError True
name, text = told(lambda: httpx.delete(f"{site}/echo"))
print(name, "fetch DELETE 127.0.0.1" in text)
#> ReadError True
name, text = told(lambda: httpx.get(f"{site}/gone").raise_for_status())
print(name, "410 Gone" in text)
#> HTTPStatusError True


async def parts():
    for part in [b"one ", b"two"]:
        await asyncio.sleep(0)
        yield part


async def failed(client, method, url, **options):
    try:
        return await client.request(method, url, **options)
    except httpx.HTTPError as error:
        return type(error).__name__, reasons(error)


async def main():
    async with httpx.AsyncClient(base_url=site) as client:
        answers = await asyncio.gather(*(client.get("/echo", params={"n": n}) for n in range(5)))
        print([answer.json()["line"] for answer in answers])
        #> ['GET /echo?n=0', 'GET /echo?n=1', 'GET /echo?n=2', 'GET /echo?n=3', 'GET /echo?n=4']
        print(shown(await client.post("/echo", json={"n": 1})), shown(await client.put("/echo", content=parts())))
        #> {"n":1} one two
        print(shown(await client.post("/echo", files={"file": ("a.txt", b"content")})))
        #> --BOUNDARY|Content-Disposition: form-data; name="file"; filename="a.txt"|Content-Type: text/plain||content|--BOUNDARY--|
        async with client.stream("GET", "/lines") as answer:
            print([part async for part in answer.aiter_bytes(9)])
        #> [b'line 0\nli', b'ne 1\nline', b' 2\n']
        await client.get("/cookies")
        answer = await client.get("/moved", follow_redirects=True)
        print(answer.url.path, answer.json()["cookie"])
        #> /echo a=1; b=2, 3; d=5
        print((await failed(client, "GET", "/stalls", timeout=0.3))[0], (await failed(client, "GET", nobody))[0])
        #> ReadTimeout ReadError
        name, text = await failed(client, "GET", "http://denied.test/secret")
        print(name, "fetch GET denied.test:80" in text)
        #> ConnectError True
        # What is behind these two is not told by the client.
        print((await failed(client, "GET", f"{denied}/secret"))[0], (await failed(client, "DELETE", "/echo"))[0])
        #> ConnectError ReadError
        try:
            async with asyncio.timeout(0.3):
                await client.get("/stalls", timeout=None)
        except TimeoutError as error:
            print(type(error).__name__)
        #> TimeoutError


asyncio.run(main())
