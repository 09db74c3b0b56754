# Determinant and inverse with exact fractions.
from fractions import Fraction

def identity(n):
    return [[Fraction(int(i == j)) for j in range(n)] for i in range(n)]

def invert(matrix):
    n = len(matrix)
    work = [list(map(Fraction, row)) + right for row, right in zip(matrix, identity(n))]
    determinant = Fraction(1)
    for column in range(n):
        pivot = next((row for row in range(column, n) if work[row][column]), None)
        if pivot is None:
            return Fraction(0), None
        if pivot != column:
            work[column], work[pivot] = work[pivot], work[column]
            determinant = -determinant
        determinant *= work[column][column]
        work[column] = [value / work[column][column] for value in work[column]]
        for row in range(n):
            if row != column:
                factor = work[row][column]
                work[row] = [a - factor * b for a, b in zip(work[row], work[column])]
    return determinant, [row[n:] for row in work]

determinant, inverse = invert([[2, 1, 0], [1, 3, 1], [0, 1, 4]])
print(determinant)
for row in inverse:
    print(*row)
print(invert([[1, 2], [2, 4]]))
