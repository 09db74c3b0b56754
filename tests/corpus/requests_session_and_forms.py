"""Log in with a form, keep the cookie, then page through a list."""
import sys

import requests
from requests.auth import HTTPBasicAuth

BASE = sys.argv[1]

with requests.Session() as session:
    session.headers.update({"X-Client": "corpus"})
    answer = session.post(f"{BASE}/login", data={"user": "ada", "password": "lovelace & co"})
    print("login:", answer.status_code, answer.text)
    print("cookies:", sorted(session.cookies.get_dict().items()))

    page, items = 1, []
    while page is not None:
        answer = session.get(f"{BASE}/items", params={"page": page})
        body = answer.json()
        print(f"page {page}: {body['items']} (cookie {body['cookie']!r}, client {body['client']!r})")
        items += body["items"]
        page = body["next"]
    print(len(items), "items:", ", ".join(items))

    created = session.post(f"{BASE}/items", json={"name": "zebra", "tags": ["é", None, 1.5]})
    print(created.status_code, created.json()["body"])
    changed = session.put(f"{BASE}/items", data=b"\x01\x02raw".hex())
    print(changed.status_code, changed.json()["body"])

basic = requests.get(f"{BASE}/items", params={"page": 2}, auth=HTTPBasicAuth("ada", "x"))
print(basic.json()["authorization"], basic.json()["cookie"] or "no cookie")
