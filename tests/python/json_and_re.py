import json, re

text = json.dumps({"b": [1.5, True, None], "a": "\u20ac"}, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
print(text, json.loads(text)["b"])
try:
    json.loads("[" * 100000)
except RecursionError as error:
    print(type(error).__name__)
print(re.findall(r"(\w+)@(\w+)\.org", "ann@site.org, bob@home.org"), re.sub(r"(?P<d>\d+)", r"<\g<d>>", "a1b22"))
print(re.split(r"\s*,\s*", "a , b,c"), bool(re.fullmatch(r"(?i)HELLO", "hello")), re.compile(r"^x", re.M).sub("y", "x\nx"))
#> {"a":"€","b":[1.5,true,null]} [1.5, True, None]
#> RecursionError
#> [('ann', 'site'), ('bob', 'home')] a<1>b<22>
#> ['a', 'b', 'c'] True y
#> y
