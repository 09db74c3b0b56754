# A calendar with what happens in a month.
import calendar
from datetime import date, datetime, timedelta

print(calendar.TextCalendar(calendar.MONDAY).formatmonth(2024, 2))
fridays = [d for d in calendar.Calendar().itermonthdates(2024, 9) if d.month == 9 and d.weekday() == 4 and d.day == 13]
print(fridays, calendar.isleap(1900), calendar.isleap(2000), calendar.monthrange(2023, 2)[1])
print([calendar.day_abbr[date(year, 12, 25).weekday()] for year in range(2020, 2026)])

def easter(year):
    a, b, c = year % 19, year // 100, year % 100
    d, e = divmod(b, 4)
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    l = (32 + 2 * e + 2 * i - h - k) % 7
    m = (a + 11 * h + 19 * l) // 433
    month, day = divmod(h + l - 7 * m + 90, 25)
    return date(year, month, (h + l - 7 * m + 33 * month + 19) % 32)

print([easter(year).isoformat() for year in (2000, 2024, 2025, 2038)])
print((datetime(2024, 3, 1) - timedelta(days=1)).strftime("%A %d %B %Y, day %j"))
