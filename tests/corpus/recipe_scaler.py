# Scales a recipe with fractions that cooks know.
import re
from fractions import Fraction

recipe = ["2 1/2 cups flour", "3/4 tsp salt", "1 egg", "½ cup butter", "salt to taste", "1.5 l milk"]
GLYPHS = {"½": "1/2", "¼": "1/4", "¾": "3/4", "⅓": "1/3"}

def scale(line, factor):
    for glyph, text in GLYPHS.items():
        line = line.replace(glyph, f" {text}").strip()
    match = re.match(r"((?:\d+ )?\d+(?:/\d+|\.\d+)?)\s+(.*)", line)
    if not match:
        return line
    amount = sum(map(Fraction, match[1].split())) * factor
    whole, rest = divmod(amount, 1)
    nearest = min((Fraction(n, d) for d in (1, 2, 3, 4, 8) for n in range(d + 1)), key=lambda f: abs(f - rest))
    whole, nearest = (whole + 1, Fraction(0)) if nearest == 1 else (whole, nearest)
    shown = " ".join(str(part) for part in (whole, nearest) if part) or "0"
    return f"{shown} {match[2]}"

for factor in (Fraction(2), Fraction(1, 3)):
    print(f"x {factor}")
    for line in recipe:
        print("  ", scale(line, factor))
