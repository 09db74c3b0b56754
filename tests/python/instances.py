# What an instance begins with is such that it writes to few pages of it.
import collections
import json
import sys

from everstep import _session

# What was imported as the component was made lives for ever, with all that it holds: references to it are not counted.
kept = [json, json.dumps, json.dumps.__code__, json.dumps.__code__.co_consts, json.JSONEncoder, json.JSONEncoder.__init__, _session.__dict__]
print(all(map(sys._is_immortal, kept)))

# New objects lie close together, and not between those that there are.
new = [[] for _ in range(1000)]
parts = collections.Counter(id(one) >> 16 for one in new)
print(sum(count for _, count in parts.most_common(4)) > 800)

# What has made all of this is for no program.
try:
    import _lasting
except ModuleNotFoundError as error:
    print(error)
#> True
#> True
#> No module named '_lasting'
