# Huffman codes for a text.
import heapq
from collections import Counter
from itertools import count

def codes(text):
    order = count()
    heap = [(n, next(order), letter) for letter, n in sorted(Counter(text).items())]
    heapq.heapify(heap)
    while len(heap) > 1:
        (n, _, a), (m, _, b) = heapq.heappop(heap), heapq.heappop(heap)
        heapq.heappush(heap, (n + m, next(order), (a, b)))

    def walk(tree, prefix):
        if isinstance(tree, tuple):
            yield from walk(tree[0], prefix + "0")
            yield from walk(tree[1], prefix + "1")
        else:
            yield tree, prefix

    return dict(walk(heap[0][2], ""))

text = "this is an example of a huffman tree"
table = codes(text)
bits = "".join(table[c] for c in text)
for letter, code in sorted(table.items(), key=lambda item: (len(item[1]), item[1])):
    print(repr(letter), code)
print(len(bits), "bits instead of", 8 * len(text))
