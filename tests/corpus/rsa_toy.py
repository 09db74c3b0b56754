# RSA with small primes, and Diffie-Hellman.
from math import gcd, lcm
import random

def is_prime(n, tests=(2, 3, 5, 7, 11, 13)):
    if n < 2 or any(n % p == 0 and n != p for p in tests):
        return False
    d, s = n - 1, 0
    while d % 2 == 0:
        d, s = d // 2, s + 1
    for a in tests:
        x = pow(a, d, n)
        if n > a and x not in (1, n - 1) and all((x := x * x % n) != n - 1 for _ in range(s - 1)):
            return False
    return True

dice = random.Random(9)
p, q = (next(n for n in iter(lambda: dice.getrandbits(40) | 1, 0) if is_prime(n)) for _ in range(2))
n, phi, e = p * q, lcm(p - 1, q - 1), 65537
d = pow(e, -1, phi)
message = int.from_bytes(b"hi there", "big")
secret = pow(message, e, n)
print(gcd(e, phi), pow(secret, d, n).to_bytes(8, "big"), secret != message)
g, prime, a, b = 5, 2**61 - 1, 123456789, 987654321
print(is_prime(prime), pow(pow(g, a, prime), b, prime) == pow(pow(g, b, prime), a, prime))
