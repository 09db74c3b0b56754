# A cart with discounts as strategies, in an order that matters.
from dataclasses import dataclass
from decimal import Decimal

@dataclass(frozen=True)
class Line:
    name: str
    price: Decimal
    count: int = 1

    @property
    def total(self):
        return self.price * self.count

def percent(rate):
    return lambda cart, total: ("percent", total * rate / 100)

def three_for_two(name):
    def apply(cart, total):
        return f"3 for 2 {name}", sum(line.price * (line.count // 3) for line in cart if line.name == name)
    return apply

def voucher(amount, least):
    return lambda cart, total: ("voucher", Decimal(amount) if total >= least else Decimal(0))

cart = [Line("tea", Decimal("4.50"), 7), Line("cup", Decimal("8.99"), 2), Line("pot", Decimal("25"))]
for rules in ([percent(10), three_for_two("tea"), voucher(5, 50)], [voucher(5, 50), three_for_two("tea"), percent(10)]):
    total = sum(line.total for line in cart)
    print("sum", total)
    for rule in rules:
        name, off = rule(cart, total)
        total -= off
        print(f"  {name:12} -{off:.2f} = {total:.2f}")
