# Double-entry bookkeeping with a check of balance, and statements.
from collections import defaultdict
from decimal import Decimal

journal = [
    ("capital", [("bank", 5000), ("equity", -5000)]),
    ("rent", [("rent", 800), ("bank", -800)]),
    ("sale", [("receivable", 1190), ("sales", -1000), ("tax", -190)]),
    ("paid", [("bank", 1190), ("receivable", -1190)]),
    ("wrong", [("bank", 10), ("sales", -9)]),
]
accounts = defaultdict(Decimal)
for name, postings in journal:
    off = sum(amount for _, amount in postings)
    if off:
        print(f"refused {name}: off by {off}")
        continue
    for account, amount in postings:
        accounts[account] += amount
for account, amount in accounts.items():
    if amount:
        print(f"{account:12}{amount if amount > 0 else '':>10}{-amount if amount < 0 else '':>10}")
print("balanced:", sum(accounts.values()) == 0, "profit:", -accounts["sales"] - accounts["rent"])
