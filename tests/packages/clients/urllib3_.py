"""`urllib3`, as programs use it: SITE, a server that refuses connections, and one that the policy does not name are the arguments."""

import sys

import urllib3

site, nobody, denied = sys.argv[1:]
pool = urllib3.PoolManager(headers={"X-Own": "mine"})

answer = pool.request("GET", f"{site}/echo", fields={"q": "a b"})
print(answer.status, answer.headers["X-GOT"], answer.json()["line"], answer.json()["own"])
#> 200 yes GET /echo?q=a+b mine
print(urllib3.request("POST", f"{site}/echo", json={"n": 1}).json()["body"])
#> {"n":1}
answer = pool.request("POST", f"{site}/echo", fields={"file": ("a.txt", "content", "text/plain"), "k": "v"}).json()
print(answer["body"].replace("\r\n", "|"))
#> --BOUNDARY|Content-Disposition: form-data; name="file"; filename="a.txt"|Content-Type: text/plain||content|--BOUNDARY|Content-Disposition: form-data; name="k"||v|--BOUNDARY--|
print(pool.request("PUT", f"{site}/echo", body=iter([b"one ", b"two"])).json()["body"])
#> one two
answer = pool.request("GET", f"{site}/lines", preload_content=False)
print([part for part in answer.stream(9)], answer.closed)
#> [b'line 0\nli', b'ne 1\nline', b' 2\n'] True
answer.release_conn()
answer = pool.request("GET", f"{site}/lines", preload_content=False)
print([line for line in answer])
#> [b'line 0\n', b'line 1\n', b'line 2\n']
print(pool.request("GET", f"{site}/cookies").headers.getlist("set-cookie"))
#> ['a=1; Path=/', 'b=2, 3; Path=/', 'c=4; Path=/only']
answer = pool.request("GET", f"{site}/moved")
print(answer.geturl(), answer.json()["line"], pool.request("GET", f"{site}/moved", redirect=False).status)
#> /echo GET /echo 302
print(pool.request("POST", f"{site}/keep", body=b"kept").json()["body"])
#> kept
print(pool.request("GET", f"{site}/busy", retries=urllib3.Retry(2, status_forcelist=[503])).data)
#> b'served at last'


def told(*request, **options):
    try:
        return pool.request(*request, **options)
    except urllib3.exceptions.HTTPError as error:
        return type(error).__name__, type(getattr(error, "reason", None)).__name__, str(error)


print(told("GET", f"{site}/loop")[:2])
#> ('MaxRetryError', 'ResponseError')
print(told("GET", f"{site}/stalls", timeout=0.3, retries=False)[0], told("GET", f"{site}/stalls", timeout=urllib3.Timeout(read=0.1), retries=1)[:2])
#> ReadTimeoutError ('MaxRetryError', 'ReadTimeoutError')
print(told("GET", nobody, retries=False)[0])
#> ProtocolError
name, reason, text = told("GET", f"{denied}/secret")
print(name, reason, "fetch GET 127.0.0.2" in text)
#> MaxRetryError NewConnectionError True
name, reason, text = told("DELETE", f"{site}/echo", retries=False)
print(name, "fetch DELETE 127.0.0.1" in text)
#> ProtocolError True
