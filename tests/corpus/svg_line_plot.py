# A line plot as SVG with axes, from a function.
import math

def scale(value, source, target):
    (a, b), (c, d) = source, target
    return c + (value - a) / (b - a) * (d - c)

xs = [n / 4 for n in range(0, 26)]
ys = [math.sin(x) * math.exp(-x / 6) for x in xs]
points = " ".join(f"{scale(x, (0, 6.25), (20, 380)):.1f},{scale(y, (-1, 1), (180, 20)):.1f}" for x, y in zip(xs, ys))
ticks = "\n".join(
    f'  <text x="{scale(x, (0, 6.25), (20, 380)):.0f}" y="198" font-size="10">{x}</text>' for x in range(0, 7, 2)
)
print(f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 400 200">
  <path d="M20 100H380M20 20V180" stroke="gray"/>
  <polyline fill="none" stroke="crimson" points="{points}"/>
{ticks}
</svg>""")
