# Dumps bytes as editors do, and reads the dump back.
def dump(data, width=16):
    last, skipped = None, False
    for start in range(0, len(data), width):
        row = data[start : start + width]
        if row == last and start + width < len(data):
            if not skipped:
                yield "*"
            skipped = True
            continue
        last, skipped = row, False
        pairs = " ".join(f"{byte:02x}" for byte in row)
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        yield f"{start:08x}  {pairs:<{3 * width}} |{text}|"
    yield f"{len(data):08x}"

data = b"Hello, \xff\x00world!\n" + bytes(48) + "é€".encode() + b"end"
lines = list(dump(data))
print("\n".join(lines))
again = b"".join(bytes.fromhex(line[10:58]) for line in lines if "|" in line)
print(len(data), len(again), again.startswith(b"Hello"))
