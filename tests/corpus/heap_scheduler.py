# Tasks by priority and arrival, on a heap.
import heapq
import itertools

class Scheduler:
    def __init__(self):
        self.heap, self.order, self.gone = [], itertools.count(), set()

    def add(self, priority, name):
        heapq.heappush(self.heap, (priority, next(self.order), name))

    def cancel(self, name):
        self.gone.add(name)

    def __iter__(self):
        while self.heap:
            priority, _, name = heapq.heappop(self.heap)
            if name not in self.gone:
                yield priority, name

tasks = Scheduler()
for priority, name in [(2, "write"), (1, "think"), (2, "test"), (0, "wake"), (3, "nap")]:
    tasks.add(priority, name)
tasks.cancel("nap")
print(list(tasks))
print(heapq.nsmallest(2, [5, 1, 4]), heapq.nlargest(2, ["a", "ccc", "bb"], key=len), list(heapq.merge([1, 4], [2, 3])))
