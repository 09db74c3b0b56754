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
print(os.path.getsize("/out/data.bin"), os.stat("/out/data.bin").st_size)
#> 256 256 True False
#> b'\xfe\xff'
#> 4 bytearray(b'\x08\tXX') b'\x0c' 243
#> UnsupportedOperation
#> 256 256
