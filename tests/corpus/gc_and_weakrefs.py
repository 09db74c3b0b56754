# Objects end when nobody has them, circles when they are collected.
import gc
import weakref

log = []

class Node:
    def __init__(self, name):
        self.name, self.other = name, None

    def __del__(self):
        log.append(self.name)

a = Node("a")
watch = weakref.ref(a, lambda ref: log.append("callback"))
print(watch() is a)
del a
print(watch(), log)
b, c = Node("b"), Node("c")
b.other, c.other = c, b
del b, c
collected = gc.collect()
print(collected >= 2, sorted(log))
cache = weakref.WeakValueDictionary()
cache["x"] = kept = Node("x")
cache["y"] = Node("y")
print(list(cache), sorted(log))
end = weakref.finalize(kept, log.append, "finalized")
del kept
print(end.alive, log[-2:], len(cache))
