# Parses a statement of fixed columns, and reconciles it.
import re
from collections import defaultdict
from decimal import Decimal

statement = """\
DATE       DESCRIPTION              AMOUNT
2024-01-02 SALARY ACME            2,500.00
2024-01-03 GROCERY STORE #12        -45.10
2024-01-05 RENT                    -900.00
2024-01-09 GROCERY STORE #7         -32.45
2024-01-11 REFUND SHOES              59.90
BALANCE                           1,582.35
"""
rules = [(r"GROCERY", "food"), (r"RENT|POWER", "home"), (r"SALARY", "income")]
totals, balance = defaultdict(Decimal), None
for line in statement.splitlines()[1:]:
    when, what, amount = line[:10].strip(), line[11:30].strip(), Decimal(line[30:].replace(",", ""))
    if when == "BALANCE":
        balance = amount
        continue
    kind = next((name for pattern, name in rules if re.match(pattern, what)), "other")
    totals[kind] += amount
for kind, total in sorted(totals.items()):
    print(f"{kind:8}{total:>12,.2f}")
print("balanced" if sum(totals.values()) == balance else f"off by {balance - sum(totals.values())}")
