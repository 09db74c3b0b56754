# Encodings of bytes.
import base64
import binascii
import struct

data = bytes(range(0, 256, 17)) + "grüße".encode()
print(base64.b64encode(data).decode())
print(base64.urlsafe_b64encode(b"\xfb\xff\xfe").decode(), base64.b32encode(b"hello").decode(), base64.b85encode(b"hello").decode())
print(data.hex(" ", 4))
packed = struct.pack("<IhB4sd", 4000000000, -2, 255, b"ab", 0.1)
print(packed.hex(), struct.unpack("<IhB4sd", packed), struct.calcsize(">HIQ"))
print(f"{binascii.crc32(data):08x}", int.from_bytes(b"\x01\x02", "big"), (1025).to_bytes(3, "little"))
for bad in ("abc", "a===="):
    try:
        print(base64.b64decode(bad, validate=True))
    except binascii.Error as error:
        print("error", type(error).__name__)
