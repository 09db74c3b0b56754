# Prints structures so that people can read them, circles too.
import pprint
import reprlib
from dataclasses import dataclass
from types import SimpleNamespace

data = {"users": [{"name": "Ada Lovelace", "tags": ["math", "engines", "notes on the analytical engine"]}, {"name": "Bob", "tags": []}], "count": 2, "ratio": 0.5, "long": "x" * 30}
pprint.pprint(data, width=60)
pprint.pprint(data, depth=1, compact=True, sort_dicts=False)
circle = [1, [2]]
circle[1].append(circle)
print(circle, pprint.isrecursive(circle))
short = reprlib.Repr()
short.maxstring, short.maxlist = 12, 3
print(short.repr("a very long text indeed"), short.repr(list(range(10))))

@dataclass
class Point:
    x: int
    y: "Point | None" = None

pprint.pprint(Point(1, Point(2)))
print(SimpleNamespace(b=1, a=[2]), pprint.pformat({3, 1, 2}))
