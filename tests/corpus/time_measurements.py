# Clocks move on, and sleeping takes its time; what is printed does not depend on it.
import time
from datetime import datetime, timezone

start, monotonic, counter = time.time(), time.monotonic(), time.perf_counter_ns()
time.sleep(0.02)
print(time.time() >= start + 0.015, time.monotonic() >= monotonic + 0.015, time.perf_counter_ns() - counter >= 15_000_000)
now = datetime.now(timezone.utc)
print(now.year >= 2024, abs(now.timestamp() - time.time()) < 60, now.tzinfo)
moment = time.gmtime(1_700_000_000)
print(time.strftime("%Y-%m-%dT%H:%M:%SZ", moment), moment.tm_yday, moment.tm_wday, time.gmtime(0).tm_year)

class Timer:
    def __enter__(self):
        self.start = time.perf_counter()
        return self

    def __exit__(self, *_):
        self.seconds = time.perf_counter() - self.start

with Timer() as timer:
    sum(range(10_000))
print(timer.seconds >= 0, type(timer.seconds).__name__)
