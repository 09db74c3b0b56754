# A loan with constant payments, exactly to the cent.
from decimal import ROUND_HALF_EVEN, Decimal as D

def schedule(amount, yearly, months):
    rate = yearly / 12
    factor = (1 + rate) ** months
    payment = (amount * rate * factor / (factor - 1)).quantize(D("0.01"), ROUND_HALF_EVEN)
    for month in range(1, months + 1):
        interest = (amount * rate).quantize(D("0.01"), ROUND_HALF_EVEN)
        paid = payment if month < months else amount + interest
        amount -= paid - interest
        yield month, paid, interest, amount

rows = list(schedule(D(1000), D("0.06"), 6))
print(f"{'month':>5}{'paid':>10}{'interest':>10}{'left':>10}")
for row in rows:
    print("{:>5}{:>10}{:>10}{:>10}".format(*row))
print("interest in all:", sum(row[2] for row in rows))
