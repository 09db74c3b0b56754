"""Packages for the network and for web applications, each with what people do with it first: a section begins with its name, and `#>` is
what it prints."""

#: requests
import requests
asked = requests.Request("GET", "https://example.com/search", params={"q": "a b"}).prepare()
print(asked.method, asked.url)
try:
    requests.get("https://example.com/")
except requests.ConnectionError as error:
    print("fetch GET example.com:443" in str(error))
#> GET https://example.com/search?q=a+b
#> True

#: urllib3
import urllib3
print(urllib3.util.parse_url("https://user@example.com:8443/a?b=c").port, urllib3.HTTPHeaderDict({"A": "1"})["a"])
try:
    urllib3.PoolManager().request("GET", "http://example.com/", retries=False)
except urllib3.exceptions.HTTPError as error:
    print(type(error).__name__)
#> 8443 1
#> NewConnectionError

#: certifi
import certifi
print(certifi.contents().count("BEGIN CERTIFICATE") > 50)
#> True

#: idna
import idna
print(idna.encode("bücher.example"), idna.decode("xn--bcher-kva.example"))
#> b'xn--bcher-kva.example' bücher.example

#: charset-normalizer
from charset_normalizer import from_bytes
print(str(from_bytes("Привет, мир! Это обычный русский текст.".encode("cp1251")).best()))
#> Привет, мир! Это обычный русский текст.

#: httpx
import httpx
site = httpx.MockTransport(lambda request: httpx.Response(200, json={"path": request.url.path}))
with httpx.Client(transport=site) as client:
    print(client.get("https://example.com/a").json())
#> {'path': '/a'}

#: httpcore
import httpcore
print(httpcore.Request("GET", "https://example.com/a").url.target)
#> b'/a'

#: h11
import h11
wire = h11.Connection(our_role=h11.CLIENT)
print(wire.send(h11.Request(method="GET", target="/", headers=[("Host", "example.com")])))
#> b'GET / HTTP/1.1\r\nHost: example.com\r\n\r\n'

#: anyio
import anyio
async def main():
    send, receive = anyio.create_memory_object_stream(1)
    async with anyio.create_task_group() as group:
        group.start_soon(send.send, "hello")
        print(await receive.receive())
    send.close()
    receive.close()
anyio.run(main)
#> hello

#: aiohttp
import aiohttp, asyncio
async def main():
    async with aiohttp.ClientSession() as session:
        try:
            async with session.get("http://example.com/"):
                pass
        except aiohttp.ClientConnectionError as error:
            print("fetch GET example.com:80" in str(error))
asyncio.run(main())
#> True

#: aiosignal
import aiosignal, asyncio
async def main():
    signal = aiosignal.Signal(None)
    async def heard(text):
        print(text)
    signal.append(heard)
    signal.freeze()
    await signal.send("heard")
asyncio.run(main())
#> heard

#: frozenlist
from frozenlist import FrozenList
one = FrozenList([1, 2])
one.append(3)
one.freeze()
print(list(one), one.frozen)
#> [1, 2, 3] True

#: multidict
from multidict import CIMultiDict
print(CIMultiDict([("A", 1), ("a", 2)]).getall("A"))
#> [1, 2]

#: yarl
from yarl import URL
print(URL("https://example.com/a") / "b" % {"q": "x y"})
#> https://example.com/a/b?q=x+y

#: propcache
from propcache import cached_property
class Square:
    @cached_property
    def area(self):
        print("once")
        return 4
square = Square()
print(square.area, square.area)
#> once
#> 4 4

#: requests-oauthlib
from requests_oauthlib import OAuth2Session
print(OAuth2Session("me", redirect_uri="https://me.example/").authorization_url("https://example.com/auth", state="s")[0])
#> https://example.com/auth?response_type=code&client_id=me&redirect_uri=https%3A%2F%2Fme.example%2F&state=s

#: oauthlib
from oauthlib.oauth1 import Client
print(Client("key", client_secret="secret", timestamp="1", nonce="n").sign("https://example.com/")[1]["Authorization"][:40])
#> OAuth oauth_nonce="n", oauth_timestamp="

#: pyjwt
import jwt
token = jwt.encode({"sub": "me"}, "a secret that is long enough for it", algorithm="HS256")
print(jwt.decode(token, "a secret that is long enough for it", algorithms=["HS256"]))
#> {'sub': 'me'}

#: flask
from flask import Flask, request
app = Flask("app")
@app.get("/hello")
def hello():
    return f"hello {request.args['name']}"
print(app.test_client().get("/hello?name=Ada").text)
#> hello Ada

#: werkzeug
from werkzeug.test import Client
from werkzeug.wrappers import Response
print(Client(Response("hi")).get("/").text)
#> hi

#: itsdangerous
from itsdangerous import URLSafeSerializer
safe = URLSafeSerializer("key")
print(safe.loads(safe.dumps([1, "a"])))
#> [1, 'a']

#: blinker
from blinker import signal
ready = signal("ready")
@ready.connect
def heard(sender):
    print("from", sender)
ready.send("here")
#> from here

#: jinja2
from jinja2 import Template
print(Template("{% for n in names %}<{{ n|title }}>{% endfor %}").render(names=["ada", "bob"]))
#> <Ada><Bob>

#: markupsafe
from markupsafe import Markup, escape
print(escape("<b>"), Markup("<i>%s</i>") % "<")
#> &lt;b&gt; <i>&lt;</i>

#: starlette
import asyncio
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
import httpx
async def hello(request):
    return PlainTextResponse("hello")
async def main():
    async with httpx.AsyncClient(transport=httpx.ASGITransport(Starlette(routes=[Route("/", hello)])), base_url="http://app") as client:
        print((await client.get("/")).text)
asyncio.run(main())
#> hello

#: asgiref
import asyncio
from asgiref.sync import sync_to_async
print(asyncio.run(sync_to_async(lambda: 42)()))
#> 42

#: websocket-client
import websocket
try:
    websocket.create_connection("ws://example.com/")
except OSError as error:
    print("fetch GET example.com:80" in str(error))
#> True

#: beautifulsoup4
from bs4 import BeautifulSoup
print([a["href"] for a in BeautifulSoup("<p><a href='/x'>one<a href='/y'>two", "html.parser").find_all("a")])
#> ['/x', '/y']

#: soupsieve
import soupsieve
from bs4 import BeautifulSoup
print(soupsieve.select_one("p.b > i", BeautifulSoup("<p class=b><i>x</i></p>", "html.parser")).text)
#> x
