# Checks data against a small schema, with the path of each problem.
SCHEMA = {
    "name": str,
    "age": lambda v: isinstance(v, int) and 0 <= v < 150,
    "emails": [lambda v: isinstance(v, str) and v.count("@") == 1],
    "address": {"city": str, "zip?": str},
}

def problems(value, schema, path="$"):
    if isinstance(schema, dict):
        if not isinstance(value, dict):
            yield f"{path}: an object is expected"
            return
        for key, inner in schema.items():
            name = key.rstrip("?")
            if name in value:
                yield from problems(value[name], inner, f"{path}.{name}")
            elif name == key:
                yield f"{path}.{name}: missing"
        for name in value.keys() - {key.rstrip("?") for key in schema}:
            yield f"{path}.{name}: not known"
    elif isinstance(schema, list):
        for index, item in enumerate(value):
            yield from problems(item, schema[0], f"{path}[{index}]")
    elif isinstance(schema, type):
        if not isinstance(value, schema):
            yield f"{path}: {schema.__name__} is expected, not {type(value).__name__}"
    elif not schema(value):
        yield f"{path}: {value!r} is not valid"

for value in (
    {"name": "Ada", "age": 36, "emails": ["a@b.c"], "address": {"city": "London"}},
    {"name": 5, "age": 200, "emails": ["x", "a@b", 3], "address": {"zip": 1, "planet": "Earth"}},
    [],
):
    print(list(problems(value, SCHEMA)) or "valid")
