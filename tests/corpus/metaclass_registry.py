# Plugins that register themselves, by two ways; descriptors that check.
class Plugin:
    known = {}

    def __init_subclass__(cls, /, name=None, **kwargs):
        super().__init_subclass__(**kwargs)
        Plugin.known[name or cls.__name__.lower()] = cls

class Upper(Plugin):
    def run(self, text):
        return text.upper()

class Backwards(Plugin, name="reverse"):
    def run(self, text):
        return text[::-1]

class Meta(type):
    def __call__(cls, *args):
        if not hasattr(cls, "_only"):
            cls._only = super().__call__(*args)
        return cls._only

class Config(metaclass=Meta):
    pass

class Positive:
    def __set_name__(self, owner, name):
        self.name = "_" + name

    def __get__(self, instance, owner):
        return self if instance is None else getattr(instance, self.name, 0)

    def __set__(self, instance, value):
        if value <= 0:
            raise ValueError(f"{self.name[1:]} must be positive, not {value}")
        setattr(instance, self.name, value)

class Box:
    width, height = Positive(), Positive()

print({name: plugin().run("abc") for name, plugin in sorted(Plugin.known.items())}, Config() is Config())
box = Box()
box.width = 3
try:
    box.height = -1
except ValueError as error:
    print(error, box.width, box.height)
