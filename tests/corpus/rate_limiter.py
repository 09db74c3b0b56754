# A token bucket and a sliding window, with a clock of their own.
from collections import deque

class Clock:
    now = 0.0

class Bucket:
    def __init__(self, clock, rate, burst):
        self.clock, self.rate, self.burst, self.tokens, self.at = clock, rate, burst, burst, clock.now

    def allow(self):
        self.tokens = min(self.burst, self.tokens + (self.clock.now - self.at) * self.rate)
        self.at = self.clock.now
        if self.tokens >= 1:
            self.tokens -= 1
            return True
        return False

class Window:
    def __init__(self, clock, limit, span):
        self.clock, self.limit, self.span, self.times = clock, limit, span, deque()

    def allow(self):
        while self.times and self.times[0] <= self.clock.now - self.span:
            self.times.popleft()
        if len(self.times) < self.limit:
            self.times.append(self.clock.now)
            return True
        return False

clock = Clock()
limits = {"bucket": Bucket(clock, 1, 3), "window": Window(clock, 3, 4)}
seen = {name: "" for name in limits}
for tick in range(24):
    clock.now = tick * 0.5
    for name, limit in limits.items():
        seen[name] += "+" if limit.allow() else "-"
for name, marks in seen.items():
    print(f"{name:7} {marks} {marks.count('+')}")
