# Draws text with a font of bits, turned and scaled.
FONT = {"H": (0b101, 0b101, 0b111, 0b101, 0b101), "I": (0b111, 0b010, 0b010, 0b010, 0b111), "!": (0b010, 0b010, 0b010, 0b000, 0b010), " ": (0,) * 5}

def render(text, scale=1, on="#", off=" "):
    rows = []
    for line in range(5):
        row = off.join("".join((on if FONT[c][line] >> bit & 1 else off) * scale for bit in (2, 1, 0)) for c in text)
        rows += [row] * scale
    return rows

print("\n".join(row.rstrip() for row in render("HI!")))
print("\n".join(row.rstrip() for row in render("HI", 2, "█")))
turned = ["".join(column).rstrip() for column in zip(*render("HI")[::-1])]
print("\n".join(turned))
print(sum(bin(bits).count("1") for bits in FONT["H"]))
