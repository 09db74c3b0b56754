# Groups rows of a CSV by region and prints totals and shares.
import csv
import io
from collections import defaultdict
from decimal import Decimal

data = """date,region,product,units,price
2024-01-03,north,lamp,4,19.90
2024-01-03,south,chair,1,89.00
2024-01-04,north,"desk, oak",2,240.50
2024-01-05,west,lamp,10,18.75
2024-01-06,south,lamp,3,19.90
"""
totals = defaultdict(Decimal)
for row in csv.DictReader(io.StringIO(data)):
    totals[row["region"]] += int(row["units"]) * Decimal(row["price"])
whole = sum(totals.values())
for region in sorted(totals, key=totals.get, reverse=True):
    print(f"{region:8} {totals[region]:>9.2f} {totals[region] / whole:>7.1%}")
print("total   ", f"{whole:>9.2f}")
