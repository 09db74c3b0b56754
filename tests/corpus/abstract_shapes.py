# Abstract classes, protocols and dispatch by type.
from abc import ABC, abstractmethod
from functools import singledispatch
from math import pi
from typing import Protocol, runtime_checkable

class Shape(ABC):
    @property
    @abstractmethod
    def area(self): ...

class Circle(Shape):
    def __init__(self, radius):
        self.radius = radius

    @property
    def area(self):
        return pi * self.radius**2

class Square(Shape):
    def __init__(self, side):
        self.side = side

    @property
    def area(self):
        return self.side**2

@runtime_checkable
class HasArea(Protocol):
    area: float

@singledispatch
def describe(thing):
    return f"something: {thing!r}"

@describe.register
def _(thing: Shape):
    return f"{type(thing).__name__} of {thing.area:.2f}"

@describe.register(list)
@describe.register(tuple)
def _(thing):
    return "[" + "; ".join(map(describe, thing)) + "]"

print(describe([Circle(1), Square(2), (3, "x")]))
print(isinstance(Square(1), HasArea), isinstance(3, HasArea))
try:
    Shape()
except TypeError as error:
    print(str(error).split(" with")[0])
