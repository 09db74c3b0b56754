import os, shutil, tempfile, zipfile
from pathlib import Path

os.makedirs("/out/tmp")
tempfile.tempdir = "/out/tmp"
with tempfile.NamedTemporaryFile("w+", suffix=".txt") as file:
    file.write("grüße\n")
    file.flush()
    file.seek(0)
    print(file.read().strip(), os.path.exists(file.name), file.name.startswith("/out/tmp/"))
print(os.path.exists(file.name))
with tempfile.TemporaryFile() as file:
    file.write(b"gone with its end")
    file.seek(10)
    print(file.read())
with tempfile.TemporaryDirectory() as folder:
    with open(folder + "/a", "w") as file:
        file.write("a")
    shutil.copy2(folder + "/a", folder + "/b")
    with zipfile.ZipFile(folder + "/z.zip", "w") as archive:
        archive.write(folder + "/b", "b")
    print(zipfile.ZipFile(folder + "/z.zip").read("b"), sorted(os.listdir(os.fsencode(folder))))
print(os.listdir("/out/tmp"))

number = os.open("/out/numbers", os.O_RDWR | os.O_CREAT | os.O_EXCL)
print(os.write(number, b"0123456789"), os.lseek(number, 2, os.SEEK_SET), os.read(number, 3), os.fstat(number).st_size)
os.ftruncate(number, 5)
with os.fdopen(number, "r+") as file:
    file.seek(0)
    print(file.read(), file.fileno() == number)
with open("/out/numbers", opener=lambda path, flags: os.open(path, flags)) as file:
    print(file.read(), file.name)
for attempt in (lambda: os.open("/out/numbers", os.O_RDWR | os.O_CREAT | os.O_EXCL), lambda: os.read(number, 1), lambda: open("a\0b"), lambda: os.stat("\udc80")):
    try:
        attempt()
    except (OSError, ValueError) as error:
        print(type(error).__name__, end=" ")
print(os.path.exists("\ud800"))
Path("/out/p/q").mkdir(parents=True)
print(os.listdir("/out/p"), Path("/out/p").is_dir())
for attempt in (lambda: os.mkdir("/out/none/r"), lambda: os.mkdir("/out/numbers/r"), lambda: open("/out/p", "w")):
    try:
        attempt()
    except OSError as error:
        print(type(error).__name__, end=" ")
shutil.rmtree("/out/p")
print(os.path.exists("/out/p"))

class Kept:
    open = open

print(Kept().open("/data/lines.txt").readline().strip())
#> grüße True True
#> False
#> b'its end'
#> b'a' [b'a', b'b', b'z.zip']
#> []
#> 10 2 b'234' 10
#> 01234 True
#> 01234 /out/numbers
#> FileExistsError OSError ValueError OSError False
#> ['q'] True
#> FileNotFoundError NotADirectoryError IsADirectoryError False
#> one
