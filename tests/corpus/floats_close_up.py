# What floats are: bits, neighbours, sums, rounding.
import math
import struct
import sys

for x in (0.1, 1.0, -2.5, 1e-310, float("inf")):
    print(x, x.hex(), struct.pack(">d", x).hex(), math.frexp(x)[1] if math.isfinite(x) else None)
print(0.1 + 0.2, math.fsum([0.1] * 10), 0.1 * 3 == 0.3, math.isclose(0.1 * 3, 0.3), (0.1).as_integer_ratio())
print([round(x) for x in (0.5, 1.5, 2.5, -0.5)], round(2.675, 2), math.trunc(-2.7), math.floor(-2.7), math.ceil(-2.7))
print(math.nextafter(1, 2) - 1 == sys.float_info.epsilon, math.ulp(1e16), math.copysign(1, -0.0), float("nan") == float("nan"), 1e308 * 10)
print(math.hypot(3, 4, 12), math.degrees(math.pi), math.log(8, 2), math.log2(1024), math.remainder(7, 4), math.fmod(-7, 4), -7 % 4)
