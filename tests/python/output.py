import io, sys

# It has no buffer when the program ends.
detached = io.TextIOWrapper(io.BytesIO())
detached.detach()
print("a", "b", sep="-", end="!\n")
print("to stderr", file=sys.stderr)
print("no newline", end="", flush=True)
sys.stdout.write("\n")
print("unicode: ✓ é 😀", "tab\tend")
print(f"{1234567.891:,.2f} {255:#x} {'mid':^9}| {0.5:.0%}")
print(*range(3), sep="\n")
#> a-b!
#> no newline
#> unicode: ✓ é 😀 tab	end
#> 1,234,567.89 0xff    mid   | 50%
#> 0
#> 1
#> 2
