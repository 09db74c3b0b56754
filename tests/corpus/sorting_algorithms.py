# Four ways to sort, compared by their comparisons.
import random

class Counted:
    compared = 0

    def __init__(self, n):
        self.n = n

    def __lt__(self, other):
        Counted.compared += 1
        return self.n < other.n

def insertion(items):
    items = list(items)
    for i in range(1, len(items)):
        j = i
        while j and items[j] < items[j - 1]:
            items[j], items[j - 1] = items[j - 1], items[j]
            j -= 1
    return items

def merge(items):
    if len(items) < 2:
        return list(items)
    a, b = merge(items[: len(items) // 2]), merge(items[len(items) // 2 :])
    out = []
    while a and b:
        out.append(b.pop(0) if b[0] < a[0] else a.pop(0))
    return out + a + b

def quick(items):
    if not items:
        return []
    pivot, *rest = items
    small = [item for item in rest if item < pivot]
    large = [item for item in rest if not item < pivot]
    return quick(small) + [pivot] + quick(large)

items = [Counted(n) for n in random.Random(7).sample(range(100), 40)]
for sort in (insertion, merge, quick):
    Counted.compared = 0
    assert [item.n for item in sort(items)] == sorted(item.n for item in items)
    print(sort.__name__, Counted.compared)
