"""How the cost of one thing grows with the number of others, over a store in a folder: prints the points, and draws docs/curves.svg.

LIMIT leaves out what is larger (of the bytes of a step, ten times that): LIMIT=10000 takes a minute, all of it ten and 4 GB of disk.
"""

import math
import os
import pathlib
import shutil
import statistics
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
PROJECT = HERE.parents[2]
sys.path[:0] = [str(HERE), str(PROJECT / "client")]
import compare  # noqa: E402
from everstep import Session  # noqa: E402

LIMIT = int(os.environ.get("LIMIT", 1_000_000))
POWERS = [10**exponent for exponent in range(7)]
FILLERS = 64


def up_to(*points):
    return [point for point in points if point <= LIMIT]


def best(ask, times=3):
    """The best of some: a curve shows what grows, and not what else the machine did."""
    return min(ask() for _ in range(times))


def steps(host):
    return [(count, best(lambda: host.ask("steps", count)) / count) for count in up_to(*POWERS)]


def payloads(host):
    points = []
    for size in [10**power for power in range(1, 8) if 10**power <= 10 * LIMIT]:
        count = max(3, min(1_000, 20_000_000 // size))
        points.append((size, best(lambda: host.ask("payloads", size, count)) / count))
    return points


def children(host):
    return [(count, best(lambda: host.ask("calls", count)) / count) for count in up_to(1, 10, 100, 1_000)]


def at_once(host):
    return [(width, best(lambda: host.ask("wide", width, width * max(1, 4_000 // width))) / (width * max(1, 4_000 // width))) for width in up_to(1, 4, 16, 64, 256, 1_000)]


def one_step(host):
    return statistics.median(host.ask("one", 200))


def filled(kind):
    """A one-step execution beside so many others, which have ended or wait."""

    def measure(host):
        there, points = 0, []
        for count in up_to(0, *POWERS[2:]):
            host.ask(kind, FILLERS, (count - there) // FILLERS * FILLERS)
            there = count
            points.append((max(count, 1), one_step(host)))
        return points

    return measure


def sessions(folder):
    """A cell after so many, and taking a session up that has had so many."""
    cells, taken_up = [], []
    for count in up_to(1, 10, 100, 1_000):
        place = folder / f"session-{count}"
        place.mkdir()
        with Session(id="cells", store=place / "store", command=[str(compare.EVERSTEP)]) as session:
            took = []
            for number in range(count + 1):
                begun = time.perf_counter()
                session.execute(f"x{number} = {number}")
                took.append(time.perf_counter() - begun)
            cells.append((count, statistics.median(took[-10:])))
        begun = time.perf_counter()
        with Session(id="cells", store=place / "store", command=[str(compare.EVERSTEP)]) as session:
            assert session.execute(f"x{count}").value == count
            taken_up.append((count, time.perf_counter() - begun))
    return cells, taken_up


CURVES = [
    ("a step, by the steps of its execution", steps),
    ("a step, by its bytes", payloads),
    ("a child, by the children of its parent", children),
    ("an execution, by those under way at once", at_once),
    ("an execution, by those in the store that have ended", filled("wide")),
    ("an execution, by those in the store that wait", filled("suspended")),
]


def label(value):
    for size, unit in [(1_000_000, "M"), (1_000, "k")]:
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def duration(seconds):
    for size, unit in [(1, "s"), (1e-3, "ms"), (1e-6, "us")]:
        if seconds >= size:
            break
    return f"{seconds / size:.3g} {unit}"


def picture(curves):
    """An SVG: a panel for each curve, both scales logarithmic."""
    width, height, columns = 300, 190, 2
    rows = math.ceil(len(curves) / columns)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width * columns} {height * rows}" font-family="sans-serif" font-size="10" fill="#57606a">',
        "<title>What one costs, by the number of others; logarithmic scales: make curves</title>",
    ]
    for number, (title, points) in enumerate(curves):
        left, top = number % columns * width, number // columns * height
        xs, ys = [math.log10(x) for x, _ in points], [math.log10(y) for _, y in points]
        low, high = math.floor(min(ys)), math.ceil(max(ys) + 1e-9)
        across = max(max(xs) - min(xs), 1e-9)
        place = lambda x, y: (left + 24 + 240 * (x - min(xs)) / across, top + 160 - 120 * (y - low) / max(high - low, 1))
        line = [place(x, y) for x, y in zip(xs, ys)]
        parts.append(f'<text x="{left + 12}" y="{top + 18}" font-size="12" font-weight="bold">{title}</text>')
        parts.append(f'<polyline fill="none" stroke="#1f6feb" stroke-width="2" points="{" ".join(f"{x:.0f},{y:.0f}" for x, y in line)}"/>')
        for (x, y), (count, took) in zip(line, points):
            parts.append(f'<circle cx="{x:.0f}" cy="{y:.0f}" r="2.5" fill="#1f6feb"/>')
            parts.append(f'<text x="{x:.0f}" y="{y - 6:.0f}" text-anchor="middle">{duration(took)}</text>')
            parts.append(f'<text x="{x:.0f}" y="{top + 176}" text-anchor="middle">{label(count)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def main():
    curves = []

    def add(title, points):
        curves.append((title, points))
        print(f"{title:<52}" + "  ".join(f"{label(count)}: {duration(took)}" for count, took in points), flush=True)

    with tempfile.TemporaryDirectory(dir=os.environ.get("EVERSTEP_BENCH_DIR", compare.TOOLS)) as temporary:
        folder = pathlib.Path(temporary)
        try:
            for number, (title, measure) in enumerate(CURVES):
                own = folder / str(number)
                own.mkdir()
                host = compare.Everstep(own)
                add(title, measure(host))
                host.end()
                shutil.rmtree(own)
            for title, points in zip(["a cell, by the cells of its session", "taking a session up, by its cells"], sessions(folder)):
                add(title, points)
        finally:
            compare.end_all()
    if os.environ.get("WRITE"):
        (PROJECT / "docs/curves.svg").write_text(picture(curves))


main()
