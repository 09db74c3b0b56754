# An invoice with exact money and commercial rounding.
from decimal import ROUND_HALF_UP, Decimal, getcontext

cent = Decimal("0.01")
lines = [("Consulting", Decimal("12.5"), Decimal("95.00")), ("Travel", Decimal("1"), Decimal("133.335")), ("Paper", Decimal("3"), Decimal("4.995"))]
net = Decimal()
for name, count, price in lines:
    amount = (count * price).quantize(cent, ROUND_HALF_UP)
    net += amount
    print(f"{name:<12}{count!s:>6} x {price:>8} = {amount:>9}")
tax = (net * Decimal("0.19")).quantize(cent, ROUND_HALF_UP)
print(f"net {net:,} tax {tax:,} total {net + tax:,}")
getcontext().prec = 30
print(Decimal(2).sqrt(), Decimal("0.1") + Decimal("0.2") == Decimal("0.3"))
