# Sorts names naturally: numbers by value, letters without accents.
import re
import unicodedata

names = ["file10.txt", "file2.txt", "File1.txt", "éclair", "Zebra", "apple", "eclipse", "file2b.txt", "Äpfel", "10", "9"]

def natural(text):
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c)).casefold()
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.findall(r"\d+|\D+", plain)]

print(sorted(names))
print(sorted(names, key=natural))
versions = ["1.10.0", "1.9.3", "2.0.0-rc.1", "2.0.0", "1.9.3-alpha", "2.0.0-rc.11", "2.0.0-rc.2"]

def semver(text):
    core, _, pre = text.partition("-")
    return [int(n) for n in core.split(".")], not pre == "" and -1 or 0, [(0, int(p), "") if p.isdigit() else (1, 0, p) for p in pre.split(".")]

print(sorted(versions, key=semver))
