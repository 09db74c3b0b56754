# Newton, bisection, Simpson and Runge-Kutta.
from math import cos, exp, isclose, pi, sin

def newton(f, df, x):
    for step in range(50):
        x, before = x - f(x) / df(x), x
        if abs(x - before) < 1e-12:
            return x, step
    raise ArithmeticError("no root")

def bisect(f, low, high):
    while high - low > 1e-10:
        middle = (low + high) / 2
        low, high = (middle, high) if f(low) * f(middle) > 0 else (low, middle)
    return low

def simpson(f, a, b, n=100):
    h = (b - a) / n
    return h / 3 * sum((1 if i in (0, n) else 4 if i % 2 else 2) * f(a + i * h) for i in range(n + 1))

def runge_kutta(f, y, t, end, n=100):
    h = (end - t) / n
    for _ in range(n):
        k1 = f(t, y)
        k2 = f(t + h / 2, y + h / 2 * k1)
        k3 = f(t + h / 2, y + h / 2 * k2)
        k4 = f(t + h, y + h * k3)
        t, y = t + h, y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return y

root, steps = newton(lambda x: x**3 - 2, lambda x: 3 * x * x, 1.0)
print(f"{root:.10f} in {steps} steps")
print(f"{bisect(lambda x: cos(x) - x, 0, 1):.8f} {simpson(sin, 0, pi):.8f}")
print(isclose(runge_kutta(lambda t, y: -2 * t * y, 1.0, 0, 2), exp(-4), rel_tol=1e-5))
