# Merges streams of JSON lines by time, without the broken ones.
import heapq
import json

a = ['{"t": 1, "m": "boot"}', '{"t": 4, "m": "ready"}', '{"t": 9, "m": "stop"}']
b = ['{"t": 2, "m": "net up"}', '{"t": 3, "m": ', '{"t": 8, "m": "net down"}']

def read(name, lines):
    for number, line in enumerate(lines, 1):
        try:
            yield {"from": name, **json.loads(line)}
        except json.JSONDecodeError as error:
            print(f"{name}:{number}: {error.msg} at {error.colno}")

for event in heapq.merge(read("a", a), read("b", b), key=lambda event: event["t"]):
    print(f"{event['t']:>3} [{event['from']}] {event['m']}")
