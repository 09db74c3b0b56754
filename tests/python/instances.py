# What an instance begins with is such that it writes to few pages of it.
import collections
import dis
import json
import sys

from everstep import _loop, _session

# What was imported as the component was made lives for ever, with all that it holds: references to it are not counted.
kept = [json, json.dumps, json.dumps.__code__, json.dumps.__code__.co_consts, json.JSONEncoder, json.JSONEncoder.__init__, _session.__dict__]
print(all(map(sys._is_immortal, kept)))

# New objects lie close together, and not between those that there are.
new = [[] for _ in range(1000)]
parts = collections.Counter(id(one) >> 16 for one in new)
print(sum(count for _, count in parts.most_common(4)) > 800)

# What runs cells is adapted to what it runs.
for function in (_session.Session._ask, _session.Session._begin, _loop.Loop.can_run):
    print(any(code.opname.startswith("LOAD_ATTR_") for code in dis.get_instructions(function, adaptive=True)))

# Nothing of the rehearsal is left, and what has made all of this is for no program.
import asyncio
import linecache

print([name for name in linecache.cache if name.startswith(("<cell", "<rehearsal"))])


async def named():
    return asyncio.current_task().get_name()


print(asyncio.run(named()))
try:
    import _lasting
except ModuleNotFoundError as error:
    print(error)
#> True
#> True
#> True
#> True
#> True
#> []
#> Task-2
#> No module named '_lasting'
