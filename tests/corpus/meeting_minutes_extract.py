# Takes tasks, people and dates out of free text.
import re
from datetime import date, timedelta

notes = """
Sprint meeting 2024-03-11 (Mon). Present: Ada, Bob; Cy was late.
TODO(@ada): fix login bug [BUG-17] by 2024-03-15!
- [ ] @bob writes docs, due in 3 days
- [x] @cy set up CI
ACTION: @ada @bob review PR #42 tomorrow. See https://example.com/pr/42?x=1.
"""
day = date.fromisoformat(re.search(r"\d{4}-\d{2}-\d{2}", notes)[0])
for line in notes.strip().splitlines():
    if not re.match(r"(TODO|ACTION|- \[)", line):
        continue
    who = re.findall(r"@(\w+)", line)
    if match := re.search(r"by (\d{4}-\d\d-\d\d)", line):
        due = date.fromisoformat(match[1])
    elif match := re.search(r"in (\d+) days", line):
        due = day + timedelta(int(match[1]))
    else:
        due = day + timedelta(1) if "tomorrow" in line else None
    refs = re.findall(r"(?:BUG-|#)\d+", line)
    print({"who": who, "due": due and due.isoformat(), "refs": refs, "done": "[x]" in line})
print(re.findall(r"https?://[^\s.]+(?:\.[^\s.]+)*", notes), re.search(r"Present: ([^;]*)", notes)[1].split(", "))
