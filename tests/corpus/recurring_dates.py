# The last workday of each month, and when a cron line is due next.
from datetime import date, datetime, timedelta

def month_end(year, month):
    first_of_next = date(year + month // 12, month % 12 + 1, 1)
    return first_of_next - timedelta(days=1)

for month in range(1, 13):
    day = month_end(2024, month)
    while day.weekday() > 4:
        day -= timedelta(days=1)
    print(day, end="\n" if month % 4 == 0 else "  ")

def field(text, low, high):
    out = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        a, _, b = (f"{low}-{high}" if span == "*" else span).partition("-")
        out.update(range(int(a), int(b or a) + 1, int(step or 1)))
    return out

def due(line, after):
    minutes, hours, days, months, weekdays = (field(t, *r) for t, r in zip(line.split(), ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))))
    at = after.replace(second=0) + timedelta(minutes=1)
    while not (at.minute in minutes and at.hour in hours and at.day in days and at.month in months and at.isoweekday() % 7 in weekdays):
        at += timedelta(minutes=1)
    return at

now = datetime(2024, 2, 28, 22, 59, 30)
for line in ("*/15 * * * *", "0 9 * * 1-5", "30 6 29 2 *"):
    print(line, "->", due(line, now))
