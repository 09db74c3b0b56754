# A sparse matrix as a dictionary, with arithmetic.
from collections import defaultdict

class Sparse:
    def __init__(self, shape, cells=()):
        self.shape, self.cells = shape, {key: value for key, value in dict(cells).items() if value}

    def __getitem__(self, key):
        return self.cells.get(key, 0)

    def __matmul__(self, other):
        if self.shape[1] != other.shape[0]:
            raise ValueError(f"{self.shape} and {other.shape} do not fit")
        rows = defaultdict(list)
        for (r, c), value in other.cells.items():
            rows[r].append((c, value))
        out = defaultdict(int)
        for (r, c), value in self.cells.items():
            for column, factor in rows[c]:
                out[r, column] += value * factor
        return Sparse((self.shape[0], other.shape[1]), out)

    @property
    def T(self):
        return Sparse(self.shape[::-1], {(c, r): value for (r, c), value in self.cells.items()})

    def __str__(self):
        return "\n".join(" ".join(f"{self[r, c]:>3}" for c in range(self.shape[1])) for r in range(self.shape[0]))

a = Sparse((2, 4), {(0, 1): 3, (1, 3): -2, (1, 0): 0})
print(a, a @ a.T, len((a.T @ a).cells), sep="\n")
try:
    a @ a
except ValueError as error:
    print(error)
