"""Functions of ours in the place of functions that are written in C."""


class BuiltIn(staticmethod):
    """What those are beside what they do: no methods as attributes of a class, and pickled and copied by name."""

    def __new__(cls, function, module, name):
        return super().__new__(cls, function)

    def __init__(self, function, module, name):
        super().__init__(function)
        self.__module__, self.__name__, self.__qualname__ = module, name, name

    def __reduce__(self):
        return self.__qualname__

    def __repr__(self):
        return f"<built-in function {self.__name__}>"


def put(module, name, function):
    setattr(module, name, BuiltIn(function, module.__name__, name))
