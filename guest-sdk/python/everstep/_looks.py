"""What a person who types is shown: the names that go on with a text, and what a name stands for.

Nothing of the program runs for that, no property, no `__getattr__`, no `__repr__`: what only they could tell is not told. Places in a text are
counted in characters.
"""

import annotationlib
import builtins
import inspect
import keyword
import linecache
import re
import sys
import types

from . import _bounds, _unicode

# Names that are told at most, and values whose representation is Python's own.
_MOST = 1000
_PLAIN = (int, float, complex, str, bytes, bool, type(None))

_CHAIN = re.compile(r"(?:[^\W\d]\w*\s*\.\s*)*(?:[^\W\d]\w*)?\Z")
_NAME = re.compile(r"\w*")
_IMPORT = re.compile(r"\s*(?:import|from)\s+\w*\Z")
# Functions, of Python and of C.
_ROUTINES = (
    types.FunctionType, types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType, types.MethodWrapperType,
    types.ClassMethodDescriptorType,
)
# What reads a slot of C, and runs nothing of the program.
_SLOTS = (types.MemberDescriptorType, types.GetSetDescriptorType)

_vars_of_class, _mro_of, _static = type.__dict__["__dict__"].__get__, type.__dict__["__mro__"].__get__, inspect.getattr_static


def answer(look, names):
    """The answer to `{"complete": {"code", "cursor"}}` or `{"inspect": {"code", "cursor", "detail"}}`."""
    if "complete" in look:
        return _complete(names, **look["complete"])
    return _inspect(names, **look["inspect"])


def _complete(names, code, cursor):
    line = code[:cursor].rpartition("\n")[2]
    chain = _CHAIN.search(line)[0]
    before, _, begun = chain.rpartition(".")
    begun = begun.lstrip()
    if line[: len(line) - len(chain)].endswith("."):
        # An attribute of what is no name.
        found = ()
    elif before:
        value = _value(before, names)
        found = () if value is _NONE else _members(value)
    elif _IMPORT.match(line):
        found = {*sys.stdlib_module_names, *(name.partition(".")[0] for name in list(sys.modules))}
    else:
        found = {*names, *vars(builtins), *keyword.kwlist}
    matches = sorted(
        name for name in found
        if type(name) is str and name.isidentifier() and _unicode.is_whole(name) and name.startswith(begun) and (begun or name[0] != "_")
    )
    end = min(cursor, len(code))
    return {"matches": matches[:_MOST], "start": end - len(begun), "end": end}


def _inspect(names, code, cursor, detail):
    end = min(cursor, len(code))
    end += len(_NAME.match(code, end)[0])
    chain = _CHAIN.search(code[:end])[0] or _called(code[:end])
    value = _value(chain, names) if chain else _NONE
    if value is _NONE:
        return {"found": False, "text": ""}
    return {"found": True, "text": _unicode.readable(_told(chain, value, detail))}


def _called(code):
    """The function whose arguments are being written."""
    depth = 0
    for at in range(len(code) - 1, -1, -1):
        if code[at] in ")]}":
            depth += 1
        elif code[at] in "([{":
            depth -= 1
            if depth < 0:
                chain = code[at] == "(" and _CHAIN.search(code[:at])[0]
                if chain:
                    return chain
                # A tuple, a list or an index among the arguments.
                depth = 0
    return ""


_NONE = object()


def _value(chain, names):
    """What a chain of names stands for; `_NONE` where code of the program would have to run to find out."""
    first, *rest = (part.strip() for part in chain.split("."))
    value = names.get(first, vars(builtins).get(first, _NONE))
    for name in rest:
        if value is _NONE:
            break
        value = _attribute(value, name)
    return value


def _attribute(value, name):
    if name == "__class__":
        return type(value)
    found = _static(value, name, _NONE)
    if type(found) in (staticmethod, classmethod):
        return found.__func__
    if type(found) in _SLOTS and not issubclass(type(value), type):
        return found.__get__(value)
    return found


def _own(value):
    """Its own attributes."""
    if issubclass(type(value), type):
        return _vars_of_class(value)
    slot = next((_vars_of_class(kind)["__dict__"] for kind in _mro_of(type(value)) if "__dict__" in _vars_of_class(kind)), None)
    return slot.__get__(value) if type(slot) in _SLOTS else {}


def _members(value):
    kinds = _mro_of(value if issubclass(type(value), type) else type(value))
    return {*_own(value), *(name for kind in kinds for name in _vars_of_class(kind))}


def _told(chain, value, detail):
    lines, kind = [], type(value)
    function = value.__func__ if kind is types.MethodType else value
    is_class, is_routine = issubclass(kind, type), type(function) in _ROUTINES
    if (is_class or is_routine) and (signature := _signature(function, is_class, kind is types.MethodType)):
        lines.append(f"Signature: {chain}{signature}")
    if kind in _PLAIN:
        lines.append(f"Value: {_bounds.cut(repr(value), 1000)}")
    lines.append(f"Type: {_unicode.name_of(kind)}")
    lines += ["", *_documentation(function if is_class or is_routine or kind is types.ModuleType else kind)]
    if detail and type(function) is types.FunctionType:
        lines += ["", *_source(function)]
    return "\n".join(lines).rstrip()


class _Default:
    def __init__(self, text):
        self.text = text

    def __repr__(self):
        return self.text


def _signature(function, is_class, is_bound):
    """The arguments of a function or of a class, as text; none where they are not known."""
    if is_class:
        made = [_vars_of_class(kind)[name] for kind in _mro_of(function) for name in ("__init__", "__new__") if name in _vars_of_class(kind)]
        made = made[0].__func__ if made and type(made[0]) is staticmethod else made and made[0]
        if type(made) is not types.FunctionType:
            return _vars_of_class(function).get("__text_signature__")
        function, is_bound = made, True
    try:
        if type(function) is types.FunctionType:
            # Its own, and not what a decorator says of it.
            found = inspect._signature_from_function(inspect.Signature, function, annotation_format=annotationlib.Format.STRING)
        else:
            found = inspect.signature(function)
    except Exception:
        return None
    parameters = [
        one.replace(default=one.default if one.default is one.empty else _Default(_default(one.default))) for one in found.parameters.values()
    ]
    return found.replace(parameters=parameters[is_bound:]).format(quote_annotation_strings=False)


def _default(value):
    return _bounds.cut(repr(value), 100) if type(value) in _PLAIN else f"<{_unicode.name_of(type(value))}>"


def _documentation(value):
    text = _own(value).get("__doc__") if issubclass(type(value), type) or type(value) is types.ModuleType else _attribute(value, "__doc__")
    return inspect.cleandoc(text).splitlines() if type(text) is str else []


def _source(function):
    """Its lines, where they are those of a cell."""
    code = function.__code__
    _, modified, lines, _ = linecache.cache.get(code.co_filename, (0, 0, [], ""))
    return [line.rstrip("\n") for line in inspect.getblock(lines[code.co_firstlineno - 1 :])] if modified is None else []
