# Attributes that are computed, kept, forbidden or passed on.
from functools import cached_property

class Settings:
    _defaults = {"colour": "blue", "size": 3}

    def __init__(self, **given):
        object.__setattr__(self, "_given", given)

    def __getattr__(self, name):
        for source in (self._given, self._defaults):
            if name in source:
                return source[name]
        raise AttributeError(f"no setting {name}")

    def __setattr__(self, name, value):
        if name not in self._defaults:
            raise AttributeError(f"cannot set {name}")
        self._given[name] = value

    def __delattr__(self, name):
        del self._given[name]

    def __dir__(self):
        return sorted(self._defaults)

class Proxy:
    def __init__(self, target):
        self.target, self.calls = target, []

    def __getattr__(self, name):
        value = getattr(self.target, name)
        if not callable(value):
            return value

        def call(*args):
            self.calls.append(name)
            return value(*args)

        return call

class Circle:
    made = 0

    def __init__(self, r):
        self.r = r

    @cached_property
    def area(self):
        Circle.made += 1
        return 3 * self.r**2

settings = Settings(size=5)
settings.colour = "red"
print(settings.colour, settings.size, dir(settings))
del settings.colour
print(settings.colour, [attempt for attempt in ("x",) if hasattr(settings, attempt)])
try:
    settings.weight = 1
except AttributeError as error:
    print(error)
proxy = Proxy([3, 1])
proxy.append(2)
proxy.sort()
print(proxy.target, proxy.calls)
circle = Circle(2)
print(circle.area, circle.area, Circle.made, vars(circle))
