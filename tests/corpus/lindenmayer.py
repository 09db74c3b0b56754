# An L-system is grown and drawn by a turtle, as a path of SVG.
from math import cos, radians, sin

def grow(axiom, rules, times):
    for _ in range(times):
        axiom = "".join(rules.get(c, c) for c in axiom)
    return axiom

def draw(program, angle, step=10):
    x = y = heading = 0.0
    stack, path, low, high = [], ["M0,0"], [0, 0], [0, 0]
    for c in program:
        if c == "F":
            x, y = x + step * cos(radians(heading)), y + step * sin(radians(heading))
            path.append(f"L{x:.0f},{y:.0f}")
            low, high = [min(low[0], x), min(low[1], y)], [max(high[0], x), max(high[1], y)]
        elif c in "+-":
            heading += angle if c == "+" else -angle
        elif c == "[":
            stack.append((x, y, heading))
        elif c == "]":
            x, y, heading = stack.pop()
            path.append(f"M{x:.0f},{y:.0f}")
    return " ".join(path).replace("-0,", "0,"), [round(b - a) for a, b in zip(low, high)]

koch = grow("F", {"F": "F+F-F-F+F"}, 2)
path, size = draw(koch, 90)
print(len(koch), size)
print(path)
plant = grow("X", {"X": "F[+X]F[-X]+X", "F": "FF"}, 3)
print(len(plant), plant.count("F"), draw(plant, 20)[1])
