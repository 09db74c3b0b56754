# As CPython 3.13 and later print it, which place an error at a trailing comma. JSON with types of its own, both ways; big numbers; duplicates.
import json
from decimal import Decimal
from fractions import Fraction

class Encoder(json.JSONEncoder):
    def default(self, o):
        if isinstance(o, Fraction):
            return {"$fraction": [o.numerator, o.denominator]}
        if isinstance(o, (set, frozenset)):
            return sorted(o)
        return super().default(o)

def revive(d):
    return Fraction(*d["$fraction"]) if "$fraction" in d else d

text = json.dumps({"half": Fraction(1, 2), "tags": {"b", "a"}, 3: None, "ü": "\u2028\"\\"}, cls=Encoder, separators=(",", ":"))
print(text)
print(json.loads(text, object_hook=revive))
print(json.loads("[1.10, 1e2, 123456789012345678901234567890]", parse_float=Decimal))
print(json.loads('{"a": 1, "a": 2}', object_pairs_hook=list))
for bad in ("{'a': 1}", "[1,]", "", "nul"):
    try:
        json.loads(bad)
    except json.JSONDecodeError as error:
        print(repr(bad), error.pos)
try:
    json.dumps({"x": object()}, cls=Encoder)
except TypeError as error:
    print(error)
