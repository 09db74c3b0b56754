# An LRU cache on an OrderedDict, compared with functools.
from collections import OrderedDict
from functools import lru_cache

class LRU:
    def __init__(self, size):
        self.size, self.data, self.misses = size, OrderedDict(), 0

    def get(self, key, make):
        if key in self.data:
            self.data.move_to_end(key)
        else:
            self.misses += 1
            self.data[key] = make(key)
            if len(self.data) > self.size:
                print("evicts", self.data.popitem(last=False))
        return self.data[key]

calls = []

@lru_cache(maxsize=2)
def square(n):
    calls.append(n)
    return n * n

mine = LRU(2)
for n in (1, 2, 1, 3, 2, 2, 1):
    assert mine.get(n, lambda n: n * n) == square(n)
print(mine.misses, list(mine.data.items()), calls, square.cache_info())
