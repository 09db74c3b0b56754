# Durations in text are parsed, added and rounded.
import re
from datetime import timedelta

UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds", "ms": "milliseconds"}

def parse(text):
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*(ms|[dhms])", text)
    return timedelta(**{UNITS[unit]: float(amount) for amount, unit in parts})

total = timedelta()
for text in ("1h 30m", "45s", "2d 4h", "1.5h", "250ms"):
    delta = parse(text)
    total += delta
    print(f"{text:8} {delta.total_seconds():>10}")
print(total, total // timedelta(hours=1), total % timedelta(hours=1), round(total / timedelta(days=1), 3))
