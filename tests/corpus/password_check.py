# Checks and makes passwords, by rules; entropy.
import math
import random
import string

RULES = {
    "too short": lambda p: len(p) < 10,
    "no digit": lambda p: not any(map(str.isdigit, p)),
    "no capital": lambda p: p.lower() == p,
    "a letter three times in a row": lambda p: any(a == b == c for a, b, c in zip(p, p[1:], p[2:])),
}

def problems(password):
    return [name for name, broken in RULES.items() if broken(password)]

def entropy(password):
    pools = (string.ascii_lowercase, string.ascii_uppercase, string.digits, string.punctuation)
    return len(password) * math.log2(sum(len(pool) for pool in pools if set(pool) & set(password)))

for password in ("secret", "Secret1234", "Aaaaaaaa1111", "correct Horse 7 battery"):
    print(f"{password:<24} {entropy(password):6.1f} bits {problems(password) or 'good'}")
dice = random.Random(5)
made = "".join(dice.choices(string.ascii_letters + string.digits, k=16))
print(len(made), problems(made))
