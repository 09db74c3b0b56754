import functools, operator

def outer(*args, key=None, **options):
    total = 0
    def add(n):
        nonlocal total
        total += n
        return total
    return [add(n) for n in args], key, sorted(options)

print(outer(1, 2, 3, key="k", b=1, a=2), (lambda *a, **k: (a, k))(*[1], **{"x": 2}))
print(functools.reduce(operator.mul, range(1, 6)), functools.partial(int, base=2)("101"), [*range(2), *"ab"])

@functools.lru_cache
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)

print(fib(80), fib.cache_info().misses, (n := 3) + n)
first, *middle, last = "abcd"
print(first, middle, last, {**{"a": 1}, "b": 2}, f"{first!r:>5}{n=}")
#> ([1, 3, 6], 'k', ['a', 'b']) ((1,), {'x': 2})
#> 120 5 [0, 1, 'a', 'b']
#> 23416728348467685 81 6
#> a ['b', 'c'] d {'a': 1, 'b': 2}   'a'n=3
