# Normalises phone numbers with a regular expression and a table of countries.
import re

numbers = ["+49 (0)30 123456", "0049-30-123456", "030/123456", "1-800-FLOWERS", "+1 650 253 0000", "12", "+44 20 7946 0958 ext. 12"]
letters = {letter: str(digit) for digit, group in enumerate(["abc", "def", "ghi", "jkl", "mno", "pqrs", "tuv", "wxyz"], 2) for letter in group}

def normalise(raw, country="49"):
    text, _, extension = re.sub(r"\(0\)", "", raw.lower()).partition("ext")
    text = re.sub("[a-z]", lambda match: letters[match[0]], text)
    text = re.sub(r"(?<!^)\D|^[^\d+]", "", text)
    text = re.sub("^00", "+", text)
    if not text.startswith("+"):
        text = "+" + country + text.removeprefix("0")
    if not 8 <= len(text) <= 16:
        raise ValueError(f"{raw!r} has the wrong length")
    return text + (f";ext={''.join(filter(str.isdigit, extension))}" if extension else "")

for raw in numbers:
    try:
        print(f"{raw:<26} {normalise(raw)}")
    except ValueError as error:
        print("error:", error)
