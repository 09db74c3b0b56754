# Recipes with itertools.
from itertools import accumulate, chain, combinations_with_replacement, compress, cycle, dropwhile, filterfalse, islice, pairwise, product, repeat, starmap, tee, zip_longest
from operator import mul

def chunks(iterable, n):
    it = iter(iterable)
    while piece := tuple(islice(it, n)):
        yield piece

print(list(chunks("abcdefg", 3)), list(accumulate([1, 2, 3, 4], mul)), list(accumulate([3, 1, 4, 1, 5], max)))
print(list(pairwise("abcd")), list(zip_longest("ab", "x", fillvalue="-")), list(chain.from_iterable([[1], [2, 3]])))
print(list(compress("abcdef", [1, 0, 1, 0, 1, 1])), list(dropwhile(lambda x: x < 3, [1, 3, 2])), list(filterfalse(str.isdigit, "a1b2")))
print(["".join(p) for p in product("ab", repeat=2)], list(combinations_with_replacement([1, 2], 2)), list(starmap(pow, [(2, 5), (3, 2)])))
a, b = tee(iter(range(3)))
print(list(a), list(b), list(islice(cycle("xy"), 5)), list(repeat(7, 2)))
