# Pickles objects with references to each other.
import copy
import pickle
from collections import namedtuple

Point = namedtuple("Point", "x y", defaults=[0])

class Node:
    def __init__(self, name):
        self.name, self.links, self.cache = name, [], object()

    def __getstate__(self):
        return {key: value for key, value in vars(self).items() if key != "cache"}

    def __setstate__(self, state):
        vars(self).update(state, cache=None)

a, b = Node("a"), Node("b")
a.links += [b, a]
b.links.append(a)
again = pickle.loads(pickle.dumps({"a": a, "b": b, "point": Point(3)}))
print(again["a"].links[0] is again["b"], again["a"].links[1] is again["a"], again["a"].cache, again["point"])
deep, shallow = copy.deepcopy(a), copy.copy(a)
print(deep.links[0] is b, shallow.links[0] is b, Point(1, 2)._replace(y=5)._asdict())
try:
    pickle.dumps(lambda: 1)
except Exception as error:
    print("lambdas are not pickled")
