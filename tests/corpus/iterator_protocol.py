# Iterators by hand: ranges, linked lists, peeking, sentinels.
class Linked:
    def __init__(self, *values):
        self.head = None
        for value in reversed(values):
            self.head = (value, self.head)

    def __iter__(self):
        node = self.head
        while node:
            value, node = node
            yield value

    def __reversed__(self):
        return iter(list(self)[::-1])

    def __len__(self):
        return sum(1 for _ in self)

    def __contains__(self, value):
        return any(value == each for each in self)

class Peek:
    def __init__(self, iterable):
        self.it, self.kept = iter(iterable), []

    def __iter__(self):
        return self

    def __next__(self):
        return self.kept.pop() if self.kept else next(self.it)

    def peek(self, default=None):
        if not self.kept:
            try:
                self.kept.append(next(self.it))
            except StopIteration:
                return default
        return self.kept[-1]

class Old:
    def __getitem__(self, i):
        if i > 3:
            raise IndexError
        return i * i

items = Linked(1, 2, 3)
print(list(items), list(reversed(items)), len(items), 2 in items, max(items), bool(Linked()), *map(str, items))
peek = Peek("ab")
print(peek.peek(), next(peek), list(peek), peek.peek("end"), list(Old()), 9 in Old())
read = iter([5, 3, 0, 8]).__next__
print(list(iter(read, 0)), next(iter(()), "nothing"))
