# Ages, birthdays to come, and ISO weeks.
from datetime import date

people = {"Ada": date(1815, 12, 10), "Leap": date(2000, 2, 29), "Kid": date(2019, 7, 1)}
today = date(2024, 2, 28)

def birthday(born, year):
    try:
        return born.replace(year=year)
    except ValueError:
        return date(year, 3, 1)

for name, born in people.items():
    this = birthday(born, today.year)
    age = today.year - born.year - (this > today)
    following = this if this >= today else birthday(born, today.year + 1)
    print(f"{name:5} {age:>4} years, next birthday in {(following - today).days:>3} days, on a {following:%A}")
print([date(year, 12, 31).isocalendar()[:2] for year in (2020, 2021, 2024)], date.fromisocalendar(2024, 9, 3), (date.max - date.min).days)
