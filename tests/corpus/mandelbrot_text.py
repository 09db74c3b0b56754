# The Mandelbrot set in letters.
shades = " .:-=+*#%@"
for row in range(13):
    line = ""
    for column in range(52):
        c = complex(-2.2 + column * 0.06, -1.2 + row * 0.2)
        z, n = 0j, 0
        while abs(z) <= 2 and n < 60:
            z, n = z * z + c, n + 1
        line += shades[min(n * len(shades) // 61, len(shades) - 1)]
    print(line.rstrip())
