# A pie chart as SVG, its legend, and what does not add up.
from math import cos, pi, sin

shares = {"rent": 900, "food": 450, "fun": 150, "rest": 300}
total, angle, out = sum(shares.values()), -pi / 2, []
colours = ["#4e79a7", "#f28e2b", "#e15759", "#76b7b2"]
for (name, share), colour in zip(shares.items(), colours):
    turn = 2 * pi * share / total
    x1, y1, x2, y2 = (100 + 80 * f(a) for a in (angle, angle + turn) for f in (cos, sin))
    out.append(f'<path d="M100,100 L{x1:.2f},{y1:.2f} A80,80 0 {int(turn > pi)} 1 {x2:.2f},{y2:.2f} Z" fill="{colour}"><title>{name}: {share / total:.1%}</title></path>')
    angle += turn
print('<svg viewBox="0 0 200 200">', *out, "</svg>", sep="\n")
print(abs(angle - 1.5 * pi) < 1e-9)
