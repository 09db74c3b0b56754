# Sums up a log of work by project and day, with totals by hour and minute.
import re
from collections import defaultdict
from datetime import datetime, timedelta

log = """
2024-04-01
 08:30-10:00 web: landing page
 10:15-12:00 api: login #auth
 23:30-00:45 ops: deploy
2024-04-02
 09:00-09:50 web: review #auth
 lunch
 13:00-12:00 api: broken clock
"""
by_project, by_tag, day, odd = defaultdict(timedelta), defaultdict(timedelta), None, []
for line in filter(str.strip, log.splitlines()):
    if re.fullmatch(r"\d{4}-\d\d-\d\d", line):
        day = line
        continue
    match = re.match(r" (\d\d:\d\d)-(\d\d:\d\d) (\w+): (.*)", line)
    if not match:
        odd.append(line.strip())
        continue
    start, end = (datetime.strptime(f"{day} {match[n]}", "%Y-%m-%d %H:%M") for n in (1, 2))
    if end < start:
        end += timedelta(days=1)
    if end - start > timedelta(hours=12):
        odd.append(match[4])
        continue
    by_project[match[3]] += end - start
    for tag in re.findall(r"#(\w+)", match[4]):
        by_tag[tag] += end - start
for name, spent in sorted(by_project.items(), key=lambda item: item[1], reverse=True):
    print(f"{name:5}{spent // timedelta(hours=1):>3} h {spent // timedelta(minutes=1) % 60:02} min")
print({tag: str(spent) for tag, spent in by_tag.items()}, odd, sum(by_project.values(), timedelta()))
