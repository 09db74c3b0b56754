# Roman numerals, there and back.
PAIRS = list(zip((1000, 900, 500, 400, 100, 90, 50, 40, 10, 9, 5, 4, 1), "M CM D CD C XC L XL X IX V IV I".split()))

def to_roman(n):
    out = []
    for value, letters in PAIRS:
        times, n = divmod(n, value)
        out.append(letters * times)
    return "".join(out)

def from_roman(text):
    total = 0
    for value, letters in PAIRS:
        while text.startswith(letters):
            total, text = total + value, text[len(letters):]
    return total

for n in (1, 4, 9, 14, 40, 90, 400, 1994, 2024, 3999):
    print(f"{n:>4} {to_roman(n)}")
assert all(from_roman(to_roman(n)) == n for n in range(1, 4000))
print("longest:", max(range(1, 4000), key=lambda n: len(to_roman(n))))
