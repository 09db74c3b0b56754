# SEND + MORE = MONEY, by trying.
from itertools import permutations

letters = "DEMNORSY"
found = []
for digits in permutations(range(10), 3):
    # M is 1; S, E and N are tried, the rest follows.
    s, e, n = digits
    if s == 0 or 1 in digits:
        continue
    rest = [d for d in range(10) if d not in (s, e, n, 1)]
    for d, o, r, y in permutations(rest, 4):
        if (d + e) % 10 != y:
            continue
        send, more, money = int(f"{s}{e}{n}{d}"), int(f"1{o}{r}{e}"), int(f"1{o}{n}{e}{y}")
        if send + more == money:
            found.append(dict(zip(letters, (d, e, 1, n, o, r, s, y))))
print(found)
