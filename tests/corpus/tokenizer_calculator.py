# A calculator: tokens, precedence climbing, variables.
import re

TOKEN = re.compile(r"\s*(?:(?P<number>\d+\.?\d*)|(?P<name>[a-z]\w*)|(?P<op>\*\*|[-+*/()=]))")
LEVEL = {"+": (1, 2), "-": (1, 2), "*": (3, 4), "/": (3, 4), "**": (6, 5)}
names = {}

def tokens(text):
    at = 0
    while at < len(text.rstrip()):
        match = TOKEN.match(text, at)
        if not match:
            raise SyntaxError(f"column {at}: {text[at:].strip()[0]!r}")
        yield match.lastgroup, match[match.lastgroup]
        at = match.end()

def evaluate(text):
    stream = [*tokens(text), ("end", "")]

    def expression(least=0):
        kind, value = stream.pop(0)
        if kind == "number":
            left = float(value)
        elif kind == "name":
            left = names[value]
        elif value == "(":
            left = expression()
            stream.pop(0)
        elif value == "-":
            left = -expression(5)
        else:
            raise SyntaxError(f"unexpected {value or 'end'}")
        while stream[0][1] in LEVEL and LEVEL[stream[0][1]][0] >= least:
            operator = stream.pop(0)[1]
            right = expression(LEVEL[operator][1])
            left = {"+": float.__add__, "-": float.__sub__, "*": float.__mul__, "/": float.__truediv__, "**": float.__pow__}[operator](left, right)
        return left

    return expression()

names["x"] = 2.0
for text in ("1 + 2 * 3", "(1 + 2) * 3", "2 ** 3 ** 2", "-x ** 2", "10 / 4 - 1", "1 / 0", "y", "2 *", "3 $ 4"):
    try:
        print(text, "=", evaluate(text))
    except (SyntaxError, ZeroDivisionError, KeyError) as error:
        print(text, "!", type(error).__name__)
