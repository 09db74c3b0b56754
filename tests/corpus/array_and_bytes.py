# Typed arrays, bytearrays, and structures of a file format.
import struct
import zlib
from array import array

numbers = array("h", [1, -2, 300])
numbers.extend(range(3))
print(numbers, numbers.itemsize, numbers.tobytes().hex(), sum(numbers), numbers.index(300))
try:
    numbers.append(40000)
except OverflowError as error:
    print("too large")
buffer = bytearray(b"hello")
buffer[0:1] = b"J"
buffer += b"!"
buffer.reverse()
print(buffer, buffer.find(b"e"), bytes(3), bytes([65, 66]), b"a,b".split(b","), b"%d-%s" % (5, b"x"))

def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

pixels = b"".join(b"\0" + bytes((x * 60, y * 60, 128)) * 1 for y in range(3) for x in range(1))
png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 3, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")
at, kinds = 8, []
while at < len(png):
    size, kind = struct.unpack_from(">I4s", png, at)
    kinds.append((kind.decode(), size if kind != b"IDAT" else zlib.decompress(png[at + 8 : at + 8 + size]).hex()))
    at += size + 12
print(kinds)
