import bisect, collections, heapq, itertools, operator

print(collections.Counter("mississippi").most_common(2), collections.deque(range(5), maxlen=2))
print(list(itertools.batched("abcde", 2)), list(itertools.pairwise([1, 2, 3])), list(itertools.accumulate([1, 2, 3])))
heap = [5, 1, 4]
heapq.heapify(heap)
print(heapq.heappop(heap), heapq.nlargest(2, heap), bisect.bisect([1, 3, 5], 3))
print(dict(itertools.groupby("aab", key=operator.methodcaller("upper"))).keys(), collections.ChainMap({"a": 1}, {"a": 2, "b": 3})["b"])
print({k: list(g) for k, g in itertools.groupby([1, 1, 2])}, *zip("ab", "cd", strict=True))
#> [('i', 4), ('s', 4)] deque([3, 4], maxlen=2)
#> [('a', 'b'), ('c', 'd'), ('e',)] [(1, 2), (2, 3)] [1, 3, 6]
#> 1 [5, 4] 2
#> dict_keys(['A', 'B']) 3
#> {1: [1, 1], 2: [2]} ('a', 'c') ('b', 'd')
