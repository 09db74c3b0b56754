# The order of methods in a diamond, cooperative calls, mixins.
class Base:
    def __init__(self, **rest):
        self.trail = ["Base"]
        assert not rest

    def hello(self):
        return "base"

class Left(Base):
    def __init__(self, left=0, **rest):
        super().__init__(**rest)
        self.left = left
        self.trail.append("Left")

    def hello(self):
        return "left>" + super().hello()

class Right(Base):
    def __init__(self, right=0, **rest):
        super().__init__(**rest)
        self.right = right
        self.trail.append("Right")

    def hello(self):
        return "right>" + super().hello()

class Both(Left, Right):
    def hello(self):
        return "both>" + super().hello()

class Json:
    def json(self):
        import json
        return json.dumps(vars(self), sort_keys=True)

class Sent(Json, Both):
    pass

sent = Sent(left=1, right=2)
print([cls.__name__ for cls in Sent.__mro__], sent.hello(), sent.json())
print(isinstance(sent, Right), issubclass(Both, Left), Both.__bases__ == (Left, Right), super(Left, sent).hello())
try:
    type("Bad", (Base, Left), {})
except TypeError as error:
    print("no order")
Dynamic = type("Dynamic", (Right,), {"hello": lambda self: "dynamic"})
print(Dynamic().hello(), Dynamic.__name__, getattr(sent, "missing", "default"), hasattr(sent, "left"))
