# Working days between two dates, without weekends and holidays.
from datetime import date, timedelta

holidays = {date(2024, 5, 1), date(2024, 5, 9), date(2024, 5, 20)}

def working_days(first, last):
    day = first
    while day <= last:
        if day.weekday() < 5 and day not in holidays:
            yield day
        day += timedelta(days=1)

days = list(working_days(date(2024, 4, 29), date(2024, 5, 24)))
print(len(days), "working days")
for week in sorted({day.isocalendar()[1] for day in days}):
    print("week", week, " ".join(f"{day:%a %d}" for day in days if day.isocalendar()[1] == week))
