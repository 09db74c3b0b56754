# Clusters points.
from math import dist
from statistics import fmean

points = [(1, 1), (1.5, 2), (3, 4), (5, 7), (3.5, 5), (4.5, 5), (3.5, 4.5)]
centres = [points[0], points[3]]
for turn in range(10):
    groups = [[] for _ in centres]
    for point in points:
        groups[min(range(len(centres)), key=lambda n: dist(point, centres[n]))].append(point)
    moved = [tuple(map(fmean, zip(*group))) for group in groups]
    print(turn, [tuple(round(x, 3) for x in centre) for centre in moved], [len(group) for group in groups])
    if moved == centres:
        break
    centres = moved
