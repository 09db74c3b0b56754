# Makes sense of dates in many forms, with a report of those that make none.
from collections import Counter
from datetime import datetime

FORMS = ["%Y-%m-%d", "%d/%m/%Y", "%m/%d/%Y", "%d %B %Y", "%b %d, %Y", "%Y%m%d", "%d.%m.%y"]
raw = ["2024-02-29", "31/01/2024", "12/25/2023", "4 July 1776", "Mar 3, 2020", "19991231", "01.02.03", "2023-02-29", "yesterday", " 2020-01-01 "]
used, parsed = Counter(), []
for text in raw:
    for form in FORMS:
        try:
            parsed.append(datetime.strptime(text.strip(), form).date())
            used[form] += 1
            break
        except ValueError:
            continue
    else:
        print("no date:", repr(text))
print(*sorted(parsed), sep="\n")
print(used.most_common(2), (max(parsed) - min(parsed)).days)
