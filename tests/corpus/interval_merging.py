# Merges intervals, finds gaps and how many overlap.
from itertools import accumulate

meetings = [("09:00", "10:30"), ("13:00", "14:00"), ("09:45", "11:00"), ("13:30", "13:45"), ("16:00", "17:00")]

def minutes(text):
    hours, _, rest = text.partition(":")
    return int(hours) * 60 + int(rest)

def clock(n):
    return f"{n // 60:02}:{n % 60:02}"

spans = sorted((minutes(a), minutes(b)) for a, b in meetings)
merged = []
for start, end in spans:
    if merged and start <= merged[-1][1]:
        merged[-1][1] = max(end, merged[-1][1])
    else:
        merged.append([start, end])
print([f"{clock(a)}-{clock(b)}" for a, b in merged])
edges = [540, *(x for span in merged for x in span), 1080]
print("free:", [f"{clock(a)}-{clock(b)}" for a, b in zip(edges[::2], edges[1::2]) if a < b])
changes = sorted([(a, 1) for a, _ in spans] + [(b, -1) for _, b in spans])
print("rooms:", max(accumulate(change for _, change in changes)), "busy:", sum(b - a for a, b in merged), "minutes")
