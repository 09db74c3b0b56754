# Checks numbers: credit cards, ISBN, IBAN.
def luhn(number):
    digits = [int(c) for c in number if c.isdigit()]
    return sum(d if i % 2 == 0 else sum(divmod(2 * d, 10)) for i, d in enumerate(reversed(digits))) % 10 == 0

def isbn(number):
    digits = number.replace("-", "")
    if len(digits) == 10:
        return sum((10 - i) * (10 if c in "xX" else int(c)) for i, c in enumerate(digits)) % 11 == 0
    return len(digits) == 13 and sum(int(c) * (3 if i % 2 else 1) for i, c in enumerate(digits)) % 10 == 0

def iban(number):
    text = number.replace(" ", "")
    return int("".join(str(int(c, 36)) for c in text[4:] + text[:4])) % 97 == 1

for check, numbers in ((luhn, ["4539 1488 0343 6467", "8273 1232 7352 0569"]), (isbn, ["0-306-40615-2", "978-0-306-40615-7", "0-8044-2957-X", "978-0-306-40615-8"]), (iban, ["GB82 WEST 1234 5698 7654 32", "DE89 3704 0044 0532 0130 01"])):
    for number in numbers:
        print(f"{check.__name__:5} {number:28} {check(number)}")
