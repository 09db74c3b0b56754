# The convex hull of points, its area, and points inside.
from math import dist
import random

def cross(o, a, b):
    return (a[0] - o[0]) * (b[1] - o[1]) - (a[1] - o[1]) * (b[0] - o[0])

def hull(points):
    points = sorted(set(points))

    def half(points):
        out = []
        for p in points:
            while len(out) > 1 and cross(out[-2], out[-1], p) <= 0:
                out.pop()
            out.append(p)
        return out[:-1]

    return half(points) + half(points[::-1])

def area(polygon):
    return abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(polygon, polygon[1:] + polygon[:1]))) / 2

dice = random.Random(11)
points = [(dice.randrange(20), dice.randrange(20)) for _ in range(30)]
outline = hull(points)
print(outline, area(outline))
print(f"{sum(dist(a, b) for a, b in zip(outline, outline[1:] + outline[:1])):.3f}")
inside = [p for p in points if all(cross(a, b, p) > 0 for a, b in zip(outline, outline[1:] + outline[:1]))]
print(len(inside), area(hull([(0, 0), (2, 0), (2, 2), (0, 2), (1, 1)])))
