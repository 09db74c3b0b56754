# A container that builds objects by the types of their arguments.
import inspect
from typing import get_type_hints

class Container:
    def __init__(self):
        self.made, self.rules = {}, {}

    def bind(self, kind, to):
        self.rules[kind] = to

    def get(self, kind, path=()):
        if kind in path:
            raise RuntimeError("circle: " + " -> ".join(k.__name__ for k in (*path, kind)))
        if kind not in self.made:
            target = self.rules.get(kind, kind)
            if inspect.isclass(target):
                hints = get_type_hints(target.__init__) if "__init__" in vars(target) else {}
                target = target(**{name: self.get(each, (*path, kind)) for name, each in hints.items() if name != "return"})
            self.made[kind] = target
        return self.made[kind]

class Clock:
    def time(self):
        return "now"

class FixedClock(Clock):
    def time(self):
        return "noon"

class Log:
    def __init__(self, clock: Clock):
        self.clock, self.lines = clock, []

    def add(self, text):
        self.lines.append(f"{self.clock.time()}: {text}")

class Shop:
    def __init__(self, log: Log, clock: Clock) -> None:
        self.log, self.clock = log, clock

class A:
    def __init__(self, b: "B"): ...

class B:
    def __init__(self, a: A): ...

container = Container()
container.bind(Clock, FixedClock)
shop = container.get(Shop)
shop.log.add("open")
print(shop.log.lines, shop.clock is shop.log.clock, type(shop.clock).__name__)
try:
    container.get(A)
except RuntimeError as error:
    print(error)
