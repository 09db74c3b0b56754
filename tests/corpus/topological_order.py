# Builds in the order of dependencies, and finds a circle.
from graphlib import CycleError, TopologicalSorter

needs = {"app": {"lib", "ui"}, "ui": {"lib", "icons"}, "lib": {"core"}, "icons": set(), "core": set(), "docs": {"app"}}
sorter = TopologicalSorter(needs)
sorter.prepare()
round = 1
while sorter.is_active():
    ready = sorted(sorter.get_ready())
    print(round, ready)
    sorter.done(*ready)
    round += 1
needs["core"] = {"docs"}
try:
    list(TopologicalSorter(needs).static_order())
except CycleError as error:
    print("circle of", len(error.args[1]) - 1)
