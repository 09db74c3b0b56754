# Numbers tickets with check letters, and finds mistyped ones.
from string import ascii_uppercase

def check(number):
    return ascii_uppercase[sum(int(d) * w for d, w in zip(f"{number:06}", (2, 3, 4, 5, 6, 7))) % 23]

def ticket(number):
    return f"T{number:06}-{check(number)}"

print([ticket(n) for n in (1, 42, 999_999)])
given = ["T000042-" + check(42), "T000024-" + check(42), "t000001-A", "T00001-B"]
for text in given:
    body, _, letter = text.upper().removeprefix("T").partition("-")
    print(f"{text:12}", "good" if len(body) == 6 and check(int(body)) == letter else "wrong")
caught = sum(check(n) != check(int(str(n)[::-1])) for n in range(100_000, 100_500) if str(n) != str(n)[::-1])
print(caught)
