"""`requests`, as programs use it: SITE, a server that refuses connections, and one that the policy does not name are the arguments."""

import io
import sys

import requests

site, nobody, denied = sys.argv[1:]

answer = requests.get(f"{site}/echo", params={"q": ["a b", "ü"]}, headers={"X-Own": "mine"})
print(answer.status_code, answer.ok, answer.headers["x-got"], answer.json()["line"], answer.json()["own"])
#> 200 True yes GET /echo?q=a+b&q=%C3%BC mine
print(requests.post(f"{site}/echo", data={"a": 1, "b": "x y"}).json()["body"])
#> a=1&b=x+y
answer = requests.post(f"{site}/echo", json={"n": [1, None, "ü"]}).json()
print(answer["type"], answer["body"])
#> application/json {"n": [1, null, "\u00fc"]}
answer = requests.post(f"{site}/echo", files={"file": ("a.txt", io.BytesIO(b"content"), "text/plain")}, data={"k": "v"}).json()
print(answer["type"], answer["body"].replace("\r\n", "|"))
#> multipart/form-data; boundary=BOUNDARY --BOUNDARY|Content-Disposition: form-data; name="k"||v|--BOUNDARY|Content-Disposition: form-data; name="file"; filename="a.txt"|Content-Type: text/plain||content|--BOUNDARY--|
print(requests.put(f"{site}/echo", data=(part for part in [b"one ", b"two"])).json()["body"])
#> one two
print(requests.get(f"{site}/echo", auth=("user", "pass")).json()["authorization"])
#> Basic dXNlcjpwYXNz

with requests.get(f"{site}/lines", stream=True) as answer:
    print([line for line in answer.iter_lines()])
#> [b'line 0', b'line 1', b'line 2']
with requests.get(f"{site}/lines", stream=True) as answer:
    print([len(part) for part in answer.iter_content(9)], answer.raw.read())
#> [9, 9, 3] b''

with requests.Session() as session:
    session.headers["X-Own"] = "session"
    answer = session.get(f"{site}/cookies")
    print(sorted((cookie.name, cookie.value, cookie.path) for cookie in session.cookies))
    #> [('a', '1', '/'), ('b', '2, 3', '/'), ('c', '4', '/only')]
    print(answer.raw.headers.getlist("set-cookie"))
    #> ['a=1; Path=/', 'b=2, 3; Path=/', 'c=4; Path=/only']
    answer = session.get(f"{site}/moved")
    print(answer.url == f"{site}/echo", [one.status_code for one in answer.history], answer.json()["cookie"], answer.json()["own"])
    #> True [302] a=1; b=2, 3; d=5 session
    answer = session.post(f"{site}/keep", data=b"kept")
    print(answer.json()["line"], answer.json()["body"])
    #> POST /echo kept
    print(session.get(f"{site}/moved", allow_redirects=False).headers["location"])
    #> /echo
    session.mount("http://", requests.adapters.HTTPAdapter(max_retries=requests.packages.urllib3.util.Retry(2, status_forcelist=[503], backoff_factor=0.01)))
    print(session.get(f"{site}/busy").text)
    #> served at last


def told(method, url, **options):
    try:
        return requests.request(method, url, **options)
    except requests.RequestException as error:
        return type(error).__name__, error


print(told("GET", f"{site}/loop")[0])
#> TooManyRedirects
print(told("GET", f"{site}/stalls", timeout=0.3)[0], told("GET", f"{site}/stalls", timeout=(5, 0.3))[0])
#> ReadTimeout ReadTimeout
print(told("GET", nobody)[0], told("GET", "example.com")[0])
#> ConnectionError MissingSchema
name, error = told("GET", f"{denied}/secret")
print(name, "fetch GET 127.0.0.2" in str(error))
#> ConnectionError True
name, error = told("DELETE", f"{site}/echo")
print(name, "fetch DELETE 127.0.0.1" in str(error))
#> ConnectionError True
gone = requests.get(f"{site}/gone")
try:
    gone.raise_for_status()
except requests.HTTPError as error:
    print(error.response.status_code, error.response.reason, error.response.text)
#> 410 Gone no more
