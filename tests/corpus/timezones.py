# Times across zones with fixed offsets, and durations that people read.
from datetime import datetime, timedelta, timezone

cet, ist = timezone(timedelta(hours=1), "CET"), timezone(timedelta(hours=5, minutes=30))
start = datetime(2024, 1, 31, 23, 30, tzinfo=cet)
for zone in (timezone.utc, ist, timezone(-timedelta(hours=8))):
    print(start.astimezone(zone).isoformat(), start.astimezone(zone).tzname())
parsed = datetime.fromisoformat("2024-02-01T04:00:00+05:30")
print(parsed == start, parsed - start, parsed.timestamp())

def human(delta):
    parts, seconds = [], int(delta.total_seconds())
    for name, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count}{name}")
    return " ".join(parts) or "0s"

print(human(datetime(2024, 3, 1) - datetime(2024, 2, 27, 22, 59, 58)), human(timedelta()), timedelta(days=-1, seconds=5))
print(datetime.strptime("Feb 29, 2024 11:05 PM", "%b %d, %Y %I:%M %p"), datetime.fromtimestamp(86400 * 365, timezone.utc).date())
