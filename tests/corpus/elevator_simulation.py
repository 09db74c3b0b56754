# Simulates an elevator on events in a heap.
import heapq

calls = [(0, 3, 0), (2, 1, 5), (4, 5, 2), (30, 0, 4)]
events, time, floor = [(at, "call", a, b) for at, a, b in calls], 0, 0
heapq.heapify(events)
waited = []
while events:
    at, kind, start, goal = heapq.heappop(events)
    time = max(time, at)
    print(f"t={time:<3} {kind} from {start} to {goal}, elevator at {floor}")
    time += abs(floor - start) * 2
    waited.append(time - at)
    time += abs(goal - start) * 2 + 1
    floor = goal
    print(f"t={time:<3} arrived at {floor}")
print("waited", waited, "on average", sum(waited) / len(waited))
