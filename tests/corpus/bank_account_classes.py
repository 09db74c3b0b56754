# Accounts with a class hierarchy, properties and an exception of their own.
class InsufficientFunds(Exception):
    def __init__(self, missing):
        super().__init__(f"{missing} is missing")
        self.missing = missing

class Account:
    interest = 0

    def __init__(self, owner, balance=0):
        self.owner, self._balance = owner, balance

    @property
    def balance(self):
        return self._balance

    def deposit(self, amount):
        if amount <= 0:
            raise ValueError("only positive amounts")
        self._balance += amount
        return self

    def withdraw(self, amount):
        if amount > self._balance:
            raise InsufficientFunds(amount - self._balance)
        self._balance -= amount
        return self

    def __repr__(self):
        return f"{type(self).__name__}({self.owner!r}, {self.balance})"

class Savings(Account):
    interest = 3

    def close_year(self):
        return self.deposit(self._balance * self.interest // 100)

accounts = [Account("ada", 100), Savings("bob", 1000)]
accounts[0].deposit(50).withdraw(30)
accounts[1].close_year()
print(accounts, sum(account.balance for account in accounts))
for attempt in (lambda: accounts[0].withdraw(500), lambda: accounts[0].deposit(-1), lambda: setattr(accounts[0], "balance", 9)):
    try:
        attempt()
    except (InsufficientFunds, ValueError) as error:
        print(type(error).__name__, error)
    except AttributeError:
        print("the balance cannot be set")
