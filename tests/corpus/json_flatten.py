# Flattens nested JSON to dotted keys and builds it up again.
import json

document = json.loads('{"user": {"name": "Ada", "tags": ["math", "code"], "address": {"city": "London", "zip": null}}, "active": true, "score": 9.5}')

def flatten(value, prefix=""):
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from flatten(inner, f"{prefix}.{key}" if prefix else key)
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from flatten(inner, f"{prefix}[{index}]")
    else:
        yield prefix, value

flat = dict(flatten(document))
for key, value in flat.items():
    print(key, "=", json.dumps(value))
print(json.dumps(document, sort_keys=True, indent=2))
