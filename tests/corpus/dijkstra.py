# Shortest paths with a heap.
import heapq

graph = {
    "a": {"b": 7, "c": 9, "f": 14},
    "b": {"a": 7, "c": 10, "d": 15},
    "c": {"a": 9, "b": 10, "d": 11, "f": 2},
    "d": {"b": 15, "c": 11, "e": 6},
    "e": {"d": 6, "f": 9},
    "f": {"a": 14, "c": 2, "e": 9},
    "z": {},
}

def shortest(start):
    distance, came, heap = {start: 0}, {}, [(0, start)]
    while heap:
        far, node = heapq.heappop(heap)
        if far > distance[node]:
            continue
        for neighbour, length in graph[node].items():
            if far + length < distance.get(neighbour, float("inf")):
                distance[neighbour], came[neighbour] = far + length, node
                heapq.heappush(heap, (far + length, neighbour))
    return distance, came

distance, came = shortest("a")
for node in graph:
    path, at = [node], node
    while at in came:
        at = came[at]
        path.append(at)
    print(node, distance.get(node, "unreachable"), "-".join(reversed(path)) if node in distance else "")
