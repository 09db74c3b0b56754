import abc, copy, dataclasses, enum, functools, typing

class Shape(abc.ABC):
    @abc.abstractmethod
    def area(self): ...

@dataclasses.dataclass(order=True, frozen=True)
class Square(Shape):
    side: int = 2
    tags: list = dataclasses.field(default_factory=list, compare=False)

    @functools.cached_property
    def area(self):
        return self.side**2

class Colour(enum.Flag):
    RED = enum.auto()
    BLUE = enum.auto()

print(Square(3), Square(3).area, sorted([Square(3), Square(1)])[0].side, dataclasses.asdict(Square(1)))
try:
    Shape()
except TypeError as error:
    print(type(error).__name__)
print(Colour.RED | Colour.BLUE, copy.deepcopy(Square(1)) == Square(1), typing.get_type_hints(Square)["side"])
match Square(5):
    case Square(side=s) if s > 4:
        print("large", s)
#> Square(side=3, tags=[]) 9 1 {'side': 1, 'tags': []}
#> TypeError
#> Colour.RED|BLUE True <class 'int'>
#> large 5
