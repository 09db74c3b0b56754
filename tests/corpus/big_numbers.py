# Large integers: factorials, digits, roots, bases.
from math import comb, factorial, gcd, isqrt, perm, prod

print(factorial(30), len(str(factorial(300))), sum(map(int, str(2**1000))))
print(isqrt(10**40), comb(52, 5), perm(10, 3), prod(range(1, 8)), gcd(2**60 - 1, 3**40 - 1))

def base(n, b):
    digits = ""
    while n:
        n, d = divmod(n, b)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[d] + digits
    return digits or "0"

for b in (2, 7, 16, 36):
    print(b, base(123456789, b), int(base(123456789, b), b) == 123456789)
print(f"{10**18:_} {2**64:x} {-255 & 0xFFFF:b}", divmod(-17, 5), (-17) ** 3, 7 ** -2, round(12345, -2), 10**25 // 7)
