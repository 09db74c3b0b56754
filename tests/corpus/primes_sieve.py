# Primes with a sieve over a bytearray, and gaps between them.
from math import isqrt

limit = 2000
sieve = bytearray([1]) * (limit + 1)
sieve[0:2] = b"\0\0"
for n in range(2, isqrt(limit) + 1):
    if sieve[n]:
        sieve[n * n :: n] = bytes(len(range(n * n, limit + 1, n)))
primes = [n for n, flag in enumerate(sieve) if flag]
gaps = [(b - a, a) for a, b in zip(primes, primes[1:])]
print(len(primes), primes[:10], primes[-3:])
print("largest gap", max(gaps, key=lambda gap: (gap[0], -gap[1])))
print("twins", sum(gap == 2 for gap, _ in gaps))
