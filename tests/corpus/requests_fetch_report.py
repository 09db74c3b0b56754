"""Fetch the daily readings of a few stations and summarise them."""
import statistics
import sys

import requests

BASE = sys.argv[1]


def readings(station):
    response = requests.get(f"{BASE}/stations/{station}", params={"unit": "celsius"}, timeout=10)
    response.raise_for_status()
    return response.json()


listing = requests.get(f"{BASE}/stations", headers={"Accept": "application/json"})
print(listing.status_code, listing.headers["Content-Type"], listing.encoding)
print()

rows = []
for name in listing.json()["stations"]:
    try:
        data = readings(name)
    except requests.HTTPError as error:
        print(f"skipping {name}: {error.response.status_code} {error.response.reason}")
        continue
    values = data["values"]
    rows.append((name, len(values), min(values), statistics.mean(values), max(values)))

print(f"{'station':<10}{'n':>3}{'min':>8}{'mean':>8}{'max':>8}")
for name, count, low, mean, high in sorted(rows, key=lambda row: -row[3]):
    print(f"{name:<10}{count:>3}{low:>8.1f}{mean:>8.2f}{high:>8.1f}")

warmest = max(rows, key=lambda row: row[4])
print(f"\nwarmest reading: {warmest[4]} at {warmest[0]}")
