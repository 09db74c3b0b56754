# A ring buffer with numbers that are kept up to date as values come.
import math

class Ring:
    def __init__(self, size):
        self.values, self.size, self.at = [], size, 0

    def push(self, value):
        if len(self.values) < self.size:
            self.values.append(value)
            return None
        old, self.values[self.at] = self.values[self.at], value
        self.at = (self.at + 1) % self.size
        return old

    def __iter__(self):
        yield from self.values[self.at :]
        yield from self.values[: self.at]

class Welford:
    n, mean, m2 = 0, 0.0, 0.0

    def add(self, x):
        self.n += 1
        delta = x - self.mean
        self.mean += delta / self.n
        self.m2 += delta * (x - self.mean)

    @property
    def deviation(self):
        return math.sqrt(self.m2 / (self.n - 1)) if self.n > 1 else 0.0

ring, stats = Ring(4), Welford()
for value in (4, 8, 15, 16, 23, 42):
    dropped = ring.push(value)
    stats.add(value)
    print(value, list(ring), "dropped", dropped, f"mean {stats.mean:.3f} deviation {stats.deviation:.3f}")
