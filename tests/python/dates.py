import datetime, time, calendar, zoneinfo

first, second = datetime.datetime.now(datetime.UTC), datetime.datetime.now(datetime.UTC)
print(second >= first, first.year >= 2024, abs(first.timestamp() - time.time()) < 5)
start = time.monotonic()
time.sleep(0.05)
# A clock goes by milliseconds: 0.052 - 0.002 is less than 0.05.
print(0.05 <= round(time.monotonic() - start, 3) < 5, time.perf_counter() >= 0)
day = datetime.date(2024, 2, 28) + datetime.timedelta(days=2)
print(day.isoformat(), calendar.isleap(2024), datetime.datetime.fromisoformat("2024-05-06T07:08:09+02:00").utctimetuple().tm_hour)
print(time.strftime("%Y-%m-%d", time.gmtime(0)), datetime.datetime.strptime("3 Mar 2021", "%d %b %Y").date())
#> True True True
#> True True
#> 2024-03-01 True 5
#> 1970-01-01 2021-03-03
