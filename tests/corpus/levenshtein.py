# Edit distance, and the closest of known words.
import difflib

def distance(a, b):
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1]

print([distance(*pair) for pair in (("kitten", "sitting"), ("flaw", "lawn"), ("", "abc"), ("same", "same"))])
known = ["apple", "orange", "banana", "grape"]
for typed in ("appel", "bananna", "gripe"):
    print(typed, min(known, key=lambda word: distance(typed, word)), difflib.get_close_matches(typed, known, 1))
