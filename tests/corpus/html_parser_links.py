# Collects links and headings of a page.
from html.parser import HTMLParser

class Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.links, self.headings, self._open, self._heading = [], [], None, False

    def handle_starttag(self, tag, attributes):
        if tag == "a":
            self._open = [dict(attributes).get("href", ""), ""]
        self._heading = tag in ("h1", "h2")

    def handle_endtag(self, tag):
        if tag == "a" and self._open:
            self.links.append(tuple(self._open))
            self._open = None
        self._heading = False

    def handle_data(self, data):
        if self._open:
            self._open[1] += data.strip()
        if self._heading:
            self.headings.append(data)

page = """<html><body><h1>News &amp; Views</h1><p>See <a href="/a?x=1&amp;y=2">the <b>first</b></a> and
<a class=big href='/b'>second</a>, <a>nowhere</a>.</p><h2>More</h2><img src=x><!-- <a href="/no"> --></body></html>"""
parser = Links()
parser.feed(page)
print(parser.headings)
print(*parser.links, sep="\n")
