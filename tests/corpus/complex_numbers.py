# Complex numbers: roots of unity, polar form, quadratic equations, a transform.
import cmath

def quadratic(a, b, c):
    root = cmath.sqrt(b * b - 4 * a * c)
    return (-b + root) / (2 * a), (-b - root) / (2 * a)

print(quadratic(1, 2, 5), [z.real for z in quadratic(1, -3, 2)])
print([f"{z.real:+.3f}{z.imag:+.3f}j" for z in (cmath.exp(2j * cmath.pi * k / 5) for k in range(5))])
r, phi = cmath.polar(-1 + 1j)
print(round(r, 6), round(phi, 6), abs(cmath.rect(r, phi) - (-1 + 1j)) < 1e-12, (3 + 4j).conjugate() * (3 + 4j), abs(3 + 4j))

def fft(values):
    n = len(values)
    if n == 1:
        return values
    even, odd = fft(values[::2]), fft(values[1::2])
    turned = [cmath.exp(-2j * cmath.pi * k / n) * odd[k] for k in range(n // 2)]
    return [e + t for e, t in zip(even, turned)] + [e - t for e, t in zip(even, turned)]

signal = [cmath.sin(2 * cmath.pi * 2 * t / 16).real + 0.5 for t in range(16)]
print([round(abs(x), 3) + 0.0 for x in fft(signal)])
