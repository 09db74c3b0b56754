import os

with open("/out/data.bin", "wb") as file:
    print(file.write(bytes(range(256))), file.tell(), file.writable(), file.readable())
with open("/out/data.bin", "r+b") as file:
    file.seek(10)
    file.write(b"XX")
    file.seek(-2, os.SEEK_END)
    print(file.read())
with open("/out/data.bin", "rb") as file:
    head = bytearray(4)
    file.seek(8)
    print(file.readinto(head), head, file.read(1), len(file.read()))
    try:
        file.write(b"no")
    except OSError as error:
        print(type(error).__name__)
with open("/out/lines.bin", "wb") as file:
    file.writelines([b"one\n", b"two\n"])
with open("/out/lines.bin", "ab+") as file:
    file.seek(0)
    file.writelines([b"three\n"])
    file.seek(0)
    print(file.readlines(), file.truncate(3), file.peek(1), file.mode, file.name)
with open("/out/lines.bin", "wb", buffering=0) as file:
    file.write(b"at once")
    print(open("/out/lines.bin", "rb").read(), list(open("/out/lines.bin", "rb")))
writes = open("/out/lines.bin", "wb")
try:
    writes.read()
except OSError as error:
    print(type(error).__name__)
writes.write(b"kept")
del writes
print(open("/out/lines.bin", "rb").read())
print(os.path.getsize("/out/data.bin"), os.stat("/out/data.bin").st_size)
#> 256 256 True False
#> b'\xfe\xff'
#> 4 bytearray(b'\x08\tXX') b'\x0c' 243
#> UnsupportedOperation
#> [b'one\n', b'two\n', b'three\n'] 3 b'' ab+ /out/lines.bin
#> b'at once' [b'at once']
#> UnsupportedOperation
#> b'kept'
#> 256 256
