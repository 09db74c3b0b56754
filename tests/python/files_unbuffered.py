import gc, io, os, pickle, warnings

def tried(what, *args, **options):
    try:
        return what(*args, **options)
    except (OSError, TypeError, ValueError) as error:
        return type(error).__name__

path = "/out/raw.bin"
with open(path, "wb", buffering=0) as file:
    print(file.write(b"0123456789"), tried(file.read), tried(file.readinto, bytearray(1)), tried(file.readall), file.mode)
with open(path, "rb", buffering=0) as file:
    print(tried(file.write, b"x"), tried(file.truncate), tried(file.seek, 0.0), tried(file.seek, -1), tried(file.seek, 0, 9), file.read(3))
    print(os.fstat(file.fileno()).st_size, os.lseek(file.fileno(), 0, os.SEEK_CUR), tried(os.write, file.fileno(), b"x"))
for what in (file.read, file.readall, file.tell, file.fileno, file.readable, lambda: file.seek(0), lambda: file.readinto(bytearray(1))):
    print(tried(what), end=" ")
print(open(path, "rb").read(), tried(pickle.dumps, open(path, "rb", buffering=0)), isinstance(file, io.FileIO))
print(tried(open, path, closefd=False), tried(open, path, "w", closefd=False), os.path.getsize(path))

with open(path, "w+") as file:
    print(file.mode, file.buffer.raw.mode, file.buffer.raw.closefd, file.encoding)
    file.write("first")
    file.flush()
    os.fsync(file.fileno())
    other = open(file.fileno(), "r", closefd=False)
    print(os.path.getsize(path), other.seek(2), other.read(), other.close(), file.closed)
    os.close(file.fileno())
    print(tried(file.read), tried(file.close), file.closed)
print([tried(open, path, mode) for mode in ("", "rw", "bt", "q")], io.FileIO(path).readall())

def warned(**options):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        open(path, **options)
        gc.collect()
    return [(one.category.__name__, str(one.message)[:13]) for one in found]

print(warned(mode="wb", buffering=0), warned(mode="wb"), warned(mode="w"))
#> 10 UnsupportedOperation UnsupportedOperation OSError wb
#> UnsupportedOperation UnsupportedOperation TypeError OSError OSError b'012'
#> 10 3 OSError
#> ValueError ValueError ValueError ValueError ValueError ValueError ValueError b'0123456789' TypeError True
#> ValueError ValueError 10
#> w+ rb+ True UTF-8
#> 5 2 rst None False
#> OSError OSError True
#> ['ValueError', 'ValueError', 'ValueError', 'ValueError'] b'first'
#> [('ResourceWarning', 'unclosed file')] [('ResourceWarning', 'unclosed file')] [('ResourceWarning', 'unclosed file')]
