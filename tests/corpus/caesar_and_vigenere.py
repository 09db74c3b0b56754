# Two classical ciphers.
from itertools import cycle
from string import ascii_lowercase, ascii_uppercase

def caesar(text, shift):
    def turned(letters):
        return letters[shift:] + letters[:shift]
    table = str.maketrans(ascii_lowercase + ascii_uppercase, turned(ascii_lowercase) + turned(ascii_uppercase))
    return text.translate(table)

def vigenere(text, key, sign=1):
    keys = cycle(key)
    return "".join(
        chr((ord(c) - 97 + sign * (ord(next(keys)) - 97)) % 26 + 97) if c.islower() else c for c in text
    )

secret = caesar("Attack at Dawn!", 3)
print(secret, "|", caesar(secret, -3))
hidden = vigenere("meet me at the old mill", "lemon")
print(hidden, "|", vigenere(hidden, "lemon", -1))
best = max(range(26), key=lambda n: caesar("Wkh txlfn eurzq ira", -n).lower().count("o"))
print(best)
