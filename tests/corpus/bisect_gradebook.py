# Grades by ranges, ranks in a sorted list, and a moving median.
from bisect import bisect, bisect_left, insort

def grade(points, limits=(60, 70, 80, 90), letters="FDCBA"):
    return letters[bisect(limits, points)]

print([grade(points) for points in (33, 99, 77, 70, 89, 90, 100)])
ranking = []
for name, points in (("ada", 90), ("bob", 75), ("cy", 90), ("dee", 60)):
    insort(ranking, (-points, name))
print(ranking, bisect_left(ranking, (-80,)))

def medians(values, n):
    window = []
    for index, value in enumerate(values):
        insort(window, value)
        if index >= n:
            del window[bisect_left(window, values[index - n])]
        if index >= n - 1:
            yield window[n // 2]

print(list(medians([5, 2, 8, 1, 9, 3, 7], 3)))
people = [{"n": "x", "a": 10}, {"n": "y", "a": 20}]
print(bisect_left(people, 15, key=lambda p: p["a"]))
