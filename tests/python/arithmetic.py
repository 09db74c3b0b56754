from decimal import Decimal, getcontext
from fractions import Fraction
import math, statistics

getcontext().prec = 30
print(Decimal(1) / 7, Fraction(3, 4) + Fraction(1, 6), 2**100)
print(math.isqrt(10**20), round(math.pi, 5), 7 // -2, divmod(-7, 3))
print(statistics.mean([1, 2, 4]), statistics.median([3, 1, 2]), round(statistics.stdev([1, 2, 3, 4]), 4))
print(0.1 + 0.2, float("1e300") * 1e10, float("nan") != float("nan"))
#> 0.142857142857142857142857142857 11/12 1267650600228229401496703205376
#> 10000000000 3.14159 -4 (-3, 2)
#> 2.3333333333333335 2 1.291
#> 0.30000000000000004 inf True
