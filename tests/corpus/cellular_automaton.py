# Elementary automata, by rule.
def run(rule, width, steps):
    cells = 1 << width // 2
    for _ in range(steps):
        yield "".join("█" if cells >> i & 1 else "·" for i in range(width))
        new = 0
        for i in range(width):
            around = (cells >> (i + 1) % width & 1) | (cells >> i & 1) << 1 | (cells >> (i - 1) % width & 1) << 2
            new |= (rule >> around & 1) << i
        cells = new

for rule in (90, 30):
    print(rule)
    print(*run(rule, 31, 8), sep="\n")
