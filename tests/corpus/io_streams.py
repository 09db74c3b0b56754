# Streams: text over bytes, seeking, line ends, encodings.
import io
import sys

raw = io.BytesIO()
text = io.TextIOWrapper(raw, encoding="utf-8", newline="\r\n", write_through=True)
text.write("eins\nzwölf\n")
print(raw.getvalue())
raw.seek(0)
print([line for line in io.TextIOWrapper(raw, encoding="utf-8")])
buffer = io.StringIO("first\nsecond\nthird")
print(buffer.readline(), buffer.tell(), buffer.read(3), buffer.seek(0), buffer.readlines()[-1], sep="|")
for encoding in ("latin-1", "utf-16-le", "cp1252", "ascii"):
    try:
        print(encoding, "ü€".encode(encoding, "strict" if encoding == "ascii" else "replace"))
    except UnicodeEncodeError as error:
        print(encoding, error.reason, error.start)
print(b"gr\xfc\xdfe".decode("utf-8", "replace"), b"gr\xfc".decode("utf-8", "backslashreplace"), "x€".encode("ascii", "xmlcharrefreplace"))
data = memoryview(bytearray(b"abcdef"))
data[1:3] = b"XY"
print(bytes(data), data[::2].tobytes(), sys.getsizeof(b"") < sys.getsizeof(b"a" * 100))
