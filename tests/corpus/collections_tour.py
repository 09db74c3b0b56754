# Collections: deque, ChainMap, Counter arithmetic, namedtuple, UserDict.
from collections import ChainMap, Counter, UserDict, deque, namedtuple

recent = deque(maxlen=3)
for n in range(6):
    recent.append(n)
recent.rotate(1)
print(recent, recent[0], list(reversed(recent)))
settings = ChainMap({"colour": "red"}, {"colour": "blue", "size": 3})
settings["size"] = 4
print(dict(settings), settings.maps[1], settings.parents["colour"])
a, b = Counter("mississippi"), Counter(s=2, x=1)
print(a - b, a & b, +Counter(a=1, b=-1), a.most_common(2), sorted(b.elements()))
Person = namedtuple("Person", ["name", "age"])
people = [Person("ada", 36), Person(**{"name": "bob", "age": 20})]
print(min(people, key=lambda p: p.age), Person._fields, people[0]._replace(age=37))

class Lower(UserDict):
    def __setitem__(self, key, value):
        super().__setitem__(key.lower(), value)

print(Lower({"A": 1, "b": 2}) | {"c": 3})
