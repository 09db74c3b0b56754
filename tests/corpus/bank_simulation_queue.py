# Customers and tellers, simulated with seeded times.
import heapq
import random
from statistics import mean

def simulate(tellers, seed):
    dice = random.Random(seed)
    free, now, waits = [0.0] * tellers, 0.0, []
    for _ in range(200):
        now += dice.expovariate(1.0)
        start = max(now, heapq.heappop(free))
        waits.append(start - now)
        heapq.heappush(free, start + dice.uniform(1, 3))
    return mean(waits), max(waits), sum(w > 0 for w in waits)

for tellers in (1, 2, 3, 4):
    average, longest, waited = simulate(tellers, 5)
    print(f"{tellers} tellers: {average:7.2f} on average, {longest:7.2f} at most, {waited} waited")
