"""What comes of redirects, errors, streams and a body that is no JSON."""
import sys

import requests

BASE = sys.argv[1]


def show(label, url, **options):
    try:
        answer = requests.get(url, **options)
        answer.raise_for_status()
    except requests.HTTPError as error:
        print(f"{label}: HTTPError {error.response.status_code} ({str(error).split(' for url')[0]})")
    except requests.TooManyRedirects:
        print(f"{label}: too many redirects")
    except requests.RequestException as error:
        print(f"{label}: {type(error).__name__}")
    else:
        path = answer.url.removeprefix(BASE)
        print(f"{label}: {answer.status_code} {path} after {[one.status_code for one in answer.history]}")
        return answer


show("moved", f"{BASE}/old")
show("stays", f"{BASE}/old", allow_redirects=False)
show("missing", f"{BASE}/nowhere")
show("broken", f"{BASE}/broken")
show("loop", f"{BASE}/loop")
show("no scheme", "localhost/stations")
show("no host", "http:///stations")

answer = show("text", f"{BASE}/text")
try:
    answer.json()
except requests.JSONDecodeError as error:
    print("no JSON:", error)
print(answer.encoding, answer.apparent_encoding in ("utf-8", "UTF-8"), answer.content)
answer.encoding = "utf-8"
print(answer.text)

with requests.get(f"{BASE}/lines", stream=True) as answer:
    for number, line in enumerate(answer.iter_lines(decode_unicode=True), 1):
        print(number, line)

prepared = requests.Request("GET", f"{BASE}/items", params=[("page", 3), ("q", "ä b")]).prepare()
print(prepared.method, prepared.path_url, sorted(prepared.headers))
