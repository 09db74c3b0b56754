"""The interfaces of the host over the one import of this CPython: what componentize-py generates for another one is made here from a description of them.

Values are laid out as the canonical ABI of the component model says.
"""

import _host as _door
import dataclasses
import enum
import struct
import sys
import types

from componentize_py_types import Err, Ok


class Pointer(int):
    """A place in the data of a request."""


class Request:
    """Data that is handed over, with the places of the pointers in it."""

    def __init__(self):
        self.data, self.places = bytearray(), []

    def room(self, size):
        """The place of so many bytes more."""
        self.data += bytes(-len(self.data) % 8)
        at = len(self.data)
        self.data += bytes(size)
        return Pointer(at)

    def placed(self, content):
        at = self.room(0)
        self.data += content
        return at

    def put(self, at, form, value):
        if isinstance(value, Pointer):
            self.places.append(at)
        struct.pack_into(form, self.data, at, value)

    def send(self, what, written=0):
        """Asks the adapter, and returns the value that it has called for, four more, and what the host has handed over."""
        start = 12 + 4 * len(self.places)
        start += -start % 8
        for at in self.places:
            struct.pack_into("<I", self.data, at, struct.unpack_from("<I", self.data, at)[0] + start)
        head = struct.pack(f"<III{len(self.places)}I", what, len(self.places), written, *(start + at for at in self.places))
        answer = _door.call(head + bytes(start - len(head)) + self.data)
        value, a, b, c, d, first, length, second, _ = struct.unpack_from("<Q8I", answer)
        view = memoryview(answer)[40:]
        return value, (a, b, c, d), Memory([(first, view[:length]), (second, view[length:])])


class Memory:
    """What the host has handed over, each part at its address."""

    def __init__(self, parts):
        self._parts = [part for part in parts if len(part[1])]

    def start(self):
        return self._parts[0][0]

    def bytes(self, at, length):
        for start, content in self._parts:
            if start <= at and at + length <= start + len(content):
                return bytes(content[at - start : at - start + length])
        return b""

    def get(self, at, form):
        return struct.unpack(form, self.bytes(at, struct.calcsize(form)))[0]


class Number:
    flat = 1

    def __init__(self, form, kind=int):
        self._form, self._kind = "<" + form, kind
        self.size = self.align = struct.calcsize(self._form)

    def store(self, request, at, value):
        request.put(at, self._form, int(value))

    def load(self, memory, at):
        return self._kind(memory.get(at, self._form))

    def lower(self, request, value):
        # As it is refused where it does not fit.
        struct.pack(self._form, int(value))
        return [int(value)]

    def lift(self, memory, slots):
        return self._kind(slots.pop(0) & (1 << 8 * self.size) - 1)


class List:
    size, align, flat = 8, 4, 2

    def __init__(self, element):
        self._element = element

    def _placed(self, request, value):
        at, size = request.room(self._element.size * len(value)), self._element.size
        for index, one in enumerate(value):
            self._element.store(request, at + index * size, one)
        return Pointer(at), len(value)

    def _found(self, memory, at, length):
        return [self._element.load(memory, at + index * self._element.size) for index in range(length)]

    def store(self, request, at, value):
        place, length = self._placed(request, value)
        request.put(at, "<I", place)
        request.put(at + 4, "<I", length)

    def load(self, memory, at):
        return self._found(memory, memory.get(at, "<I"), memory.get(at + 4, "<I"))

    def lower(self, request, value):
        return list(self._placed(request, value))

    def lift(self, memory, slots):
        return self._found(memory, slots.pop(0), slots.pop(0))


class Bytes(List):
    def __init__(self):
        super().__init__(None)

    def _placed(self, request, value):
        value = bytes(value)
        return request.placed(value), len(value)

    def _found(self, memory, at, length):
        return memory.bytes(at, length)


class Text(Bytes):
    def _placed(self, request, value):
        return super()._placed(request, value.encode())

    def _found(self, memory, at, length):
        return super()._found(memory, at, length).decode()


class Fields:
    """A record or a tuple."""

    def __init__(self, kinds, make, parts):
        self._kinds, self._make, self._parts = kinds, make, parts
        self._offsets, size = [], 0
        self.align = max((kind.align for kind in kinds), default=1)
        for kind in kinds:
            size += -size % kind.align
            self._offsets.append(size)
            size += kind.size
        self.size = size + -size % self.align
        self.flat = sum(kind.flat for kind in kinds)

    def store(self, request, at, value):
        for kind, offset, part in zip(self._kinds, self._offsets, self._parts(value), strict=True):
            kind.store(request, at + offset, part)

    def load(self, memory, at):
        return self._make(*(kind.load(memory, at + offset) for kind, offset in zip(self._kinds, self._offsets)))

    def lower(self, request, value):
        return [slot for kind, part in zip(self._kinds, self._parts(value), strict=True) for slot in kind.lower(request, part)]

    def lift(self, memory, slots):
        return self._make(*(kind.lift(memory, slots) for kind in self._kinds))


class Cases:
    """A variant, an option, a result or an enum: `tell` gives the number of a value and what it holds, and `make` the value of a number."""

    def __init__(self, kinds, tell, make):
        self._kinds, self._tell, self._make = kinds, tell, make
        inner = [kind for kind in kinds if kind is not None]
        self._number = Number("B" if len(kinds) <= 256 else "H")
        self.align = max([self._number.size, *(kind.align for kind in inner)])
        self._offset = self._number.size + -self._number.size % max((kind.align for kind in inner), default=1)
        size = self._offset + max((kind.size for kind in inner), default=0)
        self.size = size + -size % self.align
        self.flat = 1 + max((kind.flat for kind in inner), default=0)

    def store(self, request, at, value):
        number, held = self._tell(value)
        self._number.store(request, at, number)
        if self._kinds[number] is not None:
            self._kinds[number].store(request, at + self._offset, held)

    def load(self, memory, at):
        number = self._number.load(memory, at)
        kind = self._kinds[number]
        return self._make(number, None if kind is None else kind.load(memory, at + self._offset))

    def lower(self, request, value):
        number, held = self._tell(value)
        slots = [] if self._kinds[number] is None else self._kinds[number].lower(request, held)
        return [number, *slots, *[0] * (self.flat - 1 - len(slots))]

    def lift(self, memory, slots):
        number, rest = slots.pop(0), [slots.pop(0) for _ in range(self.flat - 1)]
        kind = self._kinds[number]
        return self._make(number, None if kind is None else kind.lift(memory, rest))


def option(kind):
    return Cases([None, kind], lambda value: (0, None) if value is None else (1, value), lambda number, held: held)


def result(ok, err):
    return Cases([ok, err], lambda value: (int(isinstance(value, Err)), value.value), lambda number, held: (Err if number else Ok)(held))


PRIMITIVE = {"bool": Number("B", bool), "u8": Number("B"), "u16": Number("H"), "u32": Number("I"), "u64": Number("Q"), "string": Text()}


class World:
    """The modules of the interfaces, `wit_world`."""

    def __init__(self, description):
        self._description = description
        # What each type with a name is, and the classes for it.
        self._known, self._classes = {}, {}
        world, imports, exports = (types.ModuleType(name) for name in ("wit_world", "wit_world.imports", "wit_world.exports"))
        world.imports, world.exports = imports, exports
        world.__path__ = imports.__path__ = exports.__path__ = []
        for module in (world, imports, exports):
            sys.modules[module.__name__] = module
        for name, interface in description["imports"].items():
            module = self._module(imports, name, interface)
            for function in interface["functions"]:
                setattr(module, _snake(function["name"]), self._imported(function, module.__name__))
        self._module(exports, "guest", description["guest"])
        exports.Guest = type("Guest", (), {"__module__": "wit_world.exports"})
        self._guest = [self._signature(function) for function in description["guest"]["functions"]]

    def turn(self, guest):
        """Does what the host has called."""
        number, params, memory = Request().send(self._description["taken"])
        name, kinds, answer = self._guest[number]
        slots = list(params)
        value = getattr(guest, name)(*(kind.lift(memory, slots) for kind in kinds))
        request = Request()
        answer.store(request, request.room(answer.size), value)
        request.send(self._description["answered"])

    def _module(self, parent, name, interface):
        module = types.ModuleType(f"{parent.__name__}.{_snake(name)}")
        sys.modules[module.__name__] = module
        setattr(parent, _snake(name), module)
        for ident in interface["types"]:
            self._named(ident)
            for made in self._classes.get(ident, ()):
                made.__module__ = module.__name__ if made.__module__ == __name__ else made.__module__
                setattr(module, made.__name__, made)
        return module

    def _signature(self, function):
        kinds = [self._kind(kind) for _, kind in function["params"]]
        return _snake(function["name"]), kinds, function["result"] and self._kind(function["result"])

    def _imported(self, function, module):
        name, kinds, answer = self._signature(function)
        number, size = function["number"], answer.size if function["is_written"] else 0
        slots = sum(kind.flat for kind in kinds)
        is_result = isinstance(function["result"], dict) and "result" in function["result"]

        def call(*args):
            request = Request()
            at = request.room(8 * slots)
            for kind, arg in zip(kinds, args, strict=True):
                for slot in kind.lower(request, arg):
                    request.put(at, "<Q", slot)
                    at += 8
            value, _, memory = request.send(number, size)
            if answer is None:
                return None
            found = answer.load(memory, memory.start()) if size else answer.lift(memory, [value])
            if not is_result:
                return found
            if isinstance(found, Err):
                raise found
            return found.value

        call.__name__ = call.__qualname__ = name
        call.__module__ = module
        return call

    def _kind(self, told):
        if isinstance(told, str):
            return PRIMITIVE[told]
        (form, inner), = told.items()
        match form:
            case "ref":
                return self._named(inner)
            case "alias":
                return self._kind(inner)
            case "list":
                return Bytes() if inner == "u8" else List(self._kind(inner))
            case "option":
                return option(self._kind(inner))
            case "result":
                return result(*(one and self._kind(one) for one in inner))
            case "tuple":
                return Fields([self._kind(one) for one in inner], lambda *parts: parts, tuple)

    def _named(self, ident):
        if ident not in self._known:
            told = self._description["types"][ident]
            self._known[ident] = self._made(ident, told["name"], told["is"])
        return self._known[ident]

    def _made(self, ident, name, told):
        (form, inner), = told.items()
        name = "".join(map(str.capitalize, name.split("-")))
        if form == "alias" and isinstance(inner, dict) and "ref" in inner:
            kind = self._named(inner["ref"])
            self._classes[ident] = self._classes.get(inner["ref"], [])
            return kind
        if form == "record":
            fields = [_snake(field) for field, _ in inner]
            made = dataclasses.make_dataclass(name, fields, module=__name__)
            self._classes[ident] = [made]
            return Fields([self._kind(kind) for _, kind in inner], made, lambda value: [getattr(value, field) for field in fields])
        if form == "enum":
            made = enum.Enum(name, {_snake(case).upper(): number for number, case in enumerate(inner)}, module=__name__)
            self._classes[ident] = [made]
            return Cases([None] * len(inner), lambda value: (value.value, None), lambda number, _: made(number))
        if form == "variant":
            cases = [self._case(name, case, kind) for case, kind in inner]
            self._classes[ident] = cases
            kinds = [kind and self._kind(kind) for _, kind in inner]
            return Cases(
                kinds,
                lambda value: (cases.index(type(value)), getattr(value, "value", None)),
                lambda number, held: cases[number]() if kinds[number] is None else cases[number](held),
            )
        return self._kind(told)

    @staticmethod
    def _case(name, case, kind):
        case = "".join(map(str.capitalize, case.split("-")))
        return dataclasses.make_dataclass(f"{name}_{case}", [] if kind is None else ["value"], module=__name__)


def _snake(name):
    return name.replace("-", "_")
