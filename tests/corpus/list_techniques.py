# Lists: slices, comprehensions, sorting with several keys, unpacking.
numbers = list(range(10))
numbers[2:5] = ["a", "b"]
del numbers[::4]
print(numbers, numbers[-3:], numbers[::-2])
first, *middle, last = "abcdef"
print(first, middle, last, [*middle, *"xy"], {**{"a": 1}, "b": 2})
people = [("ada", 36, "uk"), ("bob", 25, "us"), ("cy", 36, "us"), ("dee", 25, "uk")]
print(sorted(people, key=lambda p: (-p[1], p[2], p[0])))
print([(x, y) for x in range(3) for y in range(x)], [[0] * 2 for _ in range(2)], sum([[1], [2, 3]], []))
grid = [[1, 2], [3, 4]]
print([x for row in grid for x in row], list(zip(*grid)), any(x > 3 for row in grid for x in row), all(map(len, grid)))
stack = []
for token in "3 4 + 2 * 7 /".split():
    if token.isdigit():
        stack.append(int(token))
    else:
        b, a = stack.pop(), stack.pop()
        stack.append({"+": a + b, "*": a * b, "/": a / b}[token])
print(stack, numbers.index("b"), sorted("Banana", key=str.lower), max("apple fig".split(), key=len))
