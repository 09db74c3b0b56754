# Takes URLs apart and puts them together.
from urllib.parse import parse_qs, quote, urlencode, urljoin, urlsplit, urlunsplit

url = urlsplit("https://ada:secret@example.com:8443/a%20b/c;p?q=caf%C3%A9&tag=x&tag=y&empty=#part")
print(url.scheme, url.hostname, url.port, url.username, url.path, url.fragment)
query = parse_qs(url.query, keep_blank_values=True)
print(query)
query["page"] = 2
print(urlunsplit((url.scheme, url.hostname, quote("/naïve path/"), urlencode(query, doseq=True), "")))
for link in ("../d", "/root", "?x=1", "//other.org/x", "mailto:a@b.c", "#top"):
    print(f"{link:15} {urljoin('https://example.com/a/b/c', link)}")
