# Least squares by the normal equations and by gradient descent.
data = [(1, 2.2), (2, 4.1), (3, 6.2), (4, 7.9), (5, 10.1)]
n = len(data)
sx, sy = (sum(column) for column in zip(*data))
sxx, sxy = sum(x * x for x, _ in data), sum(x * y for x, y in data)
slope = (n * sxy - sx * sy) / (n * sxx - sx**2)
intercept = (sy - slope * sx) / n
print(f"exact   y = {slope:.4f} x + {intercept:.4f}")
a = b = 0.0
for step in range(4001):
    errors = [(x, a * x + b - y) for x, y in data]
    if step % 1000 == 0:
        print(step, f"{sum(e * e for _, e in errors) / n:.5f}")
    a -= 0.02 * 2 / n * sum(x * e for x, e in errors)
    b -= 0.02 * 2 / n * sum(e for _, e in errors)
print(f"descent y = {a:.4f} x + {b:.4f}")
