# Cleans a messy table: names, numbers, duplicates, outliers.
import re
from statistics import median

raw = [
    "  ada lovelace ;36; 1,200.50 €;ada@EXAMPLE.com",
    "Bob  Smith;;$ 900;bob@example",
    "ADA LOVELACE;36;1200.5;ada@example.com",
    "cy o'neil;41 years;1.100,00;cy@example.org",
    "dee;29;99999999;dee@example.net",
]

def number(text):
    digits = re.sub(r"[^\d.,-]", "", text)
    if re.search(r",\d{2}$", digits):
        digits = digits.replace(".", "").replace(",", ".")
    return float(digits.replace(",", "")) if digits else None

rows, seen = [], set()
for line in raw:
    name, age, pay, mail = (" ".join(part.split()) for part in line.split(";"))
    name = re.sub(r"\b[a-z]", lambda m: m[0].upper(), name.lower())
    mail = mail.lower() if re.fullmatch(r"[^@\s]+@[\w-]+(\.[\w-]+)+", mail.lower()) else None
    key = (name, number(pay))
    if key in seen:
        print("duplicate:", name)
        continue
    seen.add(key)
    rows.append([name, int(number(age)) if number(age) is not None else None, number(pay), mail])
middle = median(row[2] for row in rows)
for row in rows:
    flags = ["no age"] * (row[1] is None) + ["no mail"] * (row[3] is None) + ["outlier"] * (row[2] > 10 * middle)
    print(row, flags)
