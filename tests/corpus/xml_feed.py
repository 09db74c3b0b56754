# Reads an RSS feed, with a namespace.
import xml.etree.ElementTree as ET
from email.utils import parsedate_to_datetime

feed = ET.fromstring("""<rss version="2.0" xmlns:dc="http://purl.org/dc/elements/1.1/"><channel><title>News &amp; more</title>
<item><title>First</title><pubDate>Mon, 06 May 2024 10:00:00 GMT</pubDate><dc:creator>Ada</dc:creator></item>
<item><title><![CDATA[<b>Second</b>]]></title><pubDate>Tue, 07 May 2024 08:30:00 +0200</pubDate></item></channel></rss>""")
print(feed.findtext("channel/title"))
for item in feed.iter("item"):
    when = parsedate_to_datetime(item.findtext("pubDate"))
    author = item.find("dc:creator", {"dc": "http://purl.org/dc/elements/1.1/"})
    print(when.isoformat(), item.findtext("title"), author.text if author is not None else "unknown")
try:
    ET.fromstring("<a><b></a>")
except ET.ParseError as error:
    print("error at", error.position)
