# Formatting in all its forms.
from string import Formatter, Template

value, name = 1234567.891, "Ada"
print(f"{value:,.2f} {value:>15.1f} {value:e} {value:.3g} {42:#x} {42:08b} {-7:+d} {0.257:.1%} {name!r:>8} {name:*^9}")
print("{0} {1} {0} {k[a]} {o.real}".format("x", "y", k={"a": 1}, o=3 + 4j))
print("%s is %05.1f%% of %-6d|%x|%c" % ("a", 12.345, 42, 255, "z"))
print(Template("$who owes $$${amount}").substitute(who="Bob", amount=5), Template("$x $y").safe_substitute(x=1))
print(f"{value=:.1f} {name.upper()=} {'nested ' + f'{1 + 1}'}")
print([field for _, field, _, _ in Formatter().parse("{a} and {b:>{width}}") if field])
width, precision = 10, 3
print(f"|{3.14159:{width}.{precision}}|{'x':>{width}}|{True:d}|{1e100:.3g}|{float('nan')}|{float('-inf')}|")
