# Compares ways to compress, and takes a broken stream.
import gzip
import io
import zlib

data = b"".join(b"line %d: the same words again and again\n" % (n % 7) for n in range(500))
for name, module in (("zlib", zlib), ("gzip", gzip)):
    packed = module.compress(data)
    print(name, len(packed) < len(data) // 10, module.decompress(packed) == data)
engine, out = zlib.compressobj(wbits=-15), b""
for start in range(0, len(data), 1000):
    out += engine.compress(data[start : start + 1000])
out += engine.flush()
print(zlib.decompress(out, wbits=-15) == data, f"{zlib.adler32(data):08x}")
buffer = io.BytesIO()
with gzip.open(buffer, "wt", encoding="utf-8") as file:
    file.write("grüße\n" * 3)
print(gzip.open(io.BytesIO(buffer.getvalue()), "rt", encoding="utf-8").readlines())
try:
    zlib.decompress(zlib.compress(data)[:-8])
except zlib.error as error:
    print("broken:", str(error)[:8])
