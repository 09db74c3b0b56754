# Numbers in words.
ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()

def words(n):
    if n < 0:
        return "minus " + words(-n)
    if n < 20:
        return ONES[n]
    if n < 100:
        return TENS[n // 10 - 2] + (f"-{ONES[n % 10]}" if n % 10 else "")
    for size, name in ((10**9, "billion"), (10**6, "million"), (1000, "thousand"), (100, "hundred")):
        if n >= size:
            many, rest = divmod(n, size)
            return f"{words(many)} {name}" + (f"{' and' if rest < 100 else ''} {words(rest)}" if rest else "")

for n in (0, 13, 40, 99, 100, 342, 1001, 21_050, -7_654_321, 10**9 + 5):
    print(f"{n:>14,} {words(n)}")
print(sum(len(words(n).replace(" ", "").replace("-", "")) for n in range(1, 1001)))
