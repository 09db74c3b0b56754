# A vending machine: coins, change with the fewest coins, stock.
class Machine:
    coins = (200, 100, 50, 20, 10, 5)

    def __init__(self, stock, cash):
        self.stock, self.cash, self.inserted = dict(stock), dict(cash), []

    def insert(self, coin):
        if coin not in self.coins:
            raise ValueError(f"no coin of {coin}")
        self.inserted.append(coin)

    def change(self, amount):
        best = {0: ()}
        for coin in self.coins:
            for _ in range(self.cash.get(coin, 0)):
                for paid, used in sorted(best.items(), reverse=True):
                    if paid + coin <= amount and len(best.get(paid + coin, used + (0, 0))) > len(used) + 1:
                        best[paid + coin] = used + (coin,)
        return best.get(amount)

    def buy(self, name):
        count, price = self.stock.get(name, (0, 0))
        paid = sum(self.inserted)
        if not count:
            return f"{name} is sold out"
        if paid < price:
            return f"{price - paid} to go"
        for coin in self.inserted:
            self.cash[coin] = self.cash.get(coin, 0) + 1
        change = self.change(paid - price)
        if change is None:
            return "no change"
        for coin in change:
            self.cash[coin] -= 1
        self.stock[name], self.inserted = (count - 1, price), []
        return f"{name} and {list(change)} back"

machine = Machine({"tea": (1, 120), "cola": (2, 185)}, {20: 4, 5: 3, 50: 1})
for coins, name in (((100,), "tea"), ((50,), "tea"), ((200,), "cola"), ((100, 100), "tea"), ((), "cola")):
    for coin in coins:
        machine.insert(coin)
    print(coins, name, "->", machine.buy(name))
try:
    machine.insert(3)
except ValueError as error:
    print(error)
