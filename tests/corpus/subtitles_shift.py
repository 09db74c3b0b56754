# Shifts and checks subtitles.
import re
from datetime import timedelta

srt = """1
00:00:01,500 --> 00:00:03,000
Hello!

2
00:00:02,800 --> 00:00:05,250
<i>Where</i> are you?
Here.

3
00:59:59,900 --> 01:00:02,000
The end
"""

def parse(text):
    h, m, s, ms = map(int, re.split("[:,]", text))
    return timedelta(hours=h, minutes=m, seconds=s, milliseconds=ms)

def show(t):
    ms = t // timedelta(milliseconds=1)
    return f"{ms // 3600000:02}:{ms // 60000 % 60:02}:{ms // 1000 % 60:02},{ms % 1000:03}"

before = timedelta()
for block in re.split(r"\n\n+", srt.strip()):
    number, times, *lines = block.splitlines()
    start, end = (parse(t) + timedelta(seconds=1.25) for t in times.split(" --> "))
    text = re.sub(r"</?\w+>", "", " / ".join(lines))
    print(number, show(start), show(end), f"{len(text) / (end - start).total_seconds():.1f} cps", text, "OVERLAP" if start < before else "")
    before = end
