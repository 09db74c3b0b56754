# Puts tickets in order to a route that uses each once.
from collections import defaultdict

def route(tickets, start):
    ahead = defaultdict(list)
    for a, b in sorted(tickets, reverse=True):
        ahead[a].append(b)
    stack, out = [start], []
    while stack:
        while ahead[stack[-1]]:
            stack.append(ahead[stack[-1]].pop())
        out.append(stack.pop())
    return out[::-1]

print(route([("MUC", "LHR"), ("JFK", "MUC"), ("SFO", "SJC"), ("LHR", "SFO")], "JFK"))
print(route([("JFK", "SFO"), ("JFK", "ATL"), ("SFO", "ATL"), ("ATL", "JFK"), ("ATL", "SFO")], "JFK"))
degrees = defaultdict(int)
for a, b in ("ab", "bc", "cd", "da", "ac"):
    degrees[a] += 1
    degrees[b] += 1
print(sorted(degrees.items()), sum(d % 2 for d in degrees.values()) in (0, 2))
