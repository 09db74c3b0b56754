# Run-length and look-and-say.
from itertools import groupby, islice

def encode(text):
    return "".join(f"{len(list(run))}{letter}" for letter, run in groupby(text))

def decode(text):
    out, count = [], ""
    for c in text:
        if c.isdigit():
            count += c
        else:
            out.append(c * int(count))
            count = ""
    return "".join(out)

def look_and_say(text="1"):
    while True:
        yield text
        text = encode(text)

packed = encode("wwwwwbbbwwww!")
print(packed, decode(packed))
print(list(islice(look_and_say(), 7)))
