# Knapsack by dynamic programming, with what was taken.
from functools import lru_cache

items = [("harp", 31, 120), ("easel", 12, 48), ("lens", 4, 90), ("globe", 58, 175), ("clock", 22, 65), ("quilt", 40, 41), ("vase", 17, 83)]

@lru_cache(maxsize=None)
def best(index, room):
    if index == len(items):
        return 0, ()
    name, weight, value = items[index]
    skipped = best(index + 1, room)
    if weight > room:
        return skipped
    rest = best(index + 1, room - weight)
    return max(skipped, (rest[0] + value, (name, *rest[1])))

for room in (10, 60, 200):
    print(room, *best(0, room))
info = best.cache_info()
print(info.hits > 0, info.currsize == info.misses)
