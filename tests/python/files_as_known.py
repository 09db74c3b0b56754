# What a person expects of files in Python, over the files of the policy.
import contextlib, dbm, logging, os, pathlib, shelve, shutil, sqlite3, sys, tempfile, zipfile

os.makedirs("/out/work/inner")
os.chdir("/out/work")
print(os.path.exists(""), os.path.isdir("."), os.listdir("/"), pathlib.Path("inner").resolve())

with open("both", "a+") as both:
    both.write("one\ntwo\n")
    both.seek(0)
    print(both.readlines(), both.tell(), both.write("three\n"), both.seek(4), both.read().split())

with contextlib.closing(sqlite3.connect("x.db")) as db, db:
    db.execute("create table numbers(n)")
    db.executemany("insert into numbers values (?)", [(n,) for n in range(1000)])
with contextlib.closing(sqlite3.connect("x.db")) as db:
    print(db.execute("select count(*), sum(n) from numbers").fetchone())
with shelve.open("shelf") as shelf:
    shelf["key"] = [1, 2, 3]
with shelve.open("shelf") as shelf:
    print(dict(shelf), dbm.whichdb("shelf"))

with zipfile.ZipFile("all.zip", "w") as archive:
    archive.write("both")
    archive.write("x.db")
with zipfile.ZipFile("all.zip") as archive:
    archive.extractall("inner")
print(sorted(os.listdir("inner")), pathlib.Path("inner/both").read_text() == pathlib.Path("both").read_text())
shutil.make_archive("tree", "gztar", "inner")
shutil.copytree("inner", "copied")
shutil.unpack_archive("tree.tar.gz", "unpacked")
print(sorted(os.listdir("copied")) == sorted(os.listdir("unpacked")), [name for _, _, names in os.walk("copied") for name in names])

sizes = {entry.name: entry.stat().st_size for entry in os.scandir("inner") if entry.is_file()}
print(sizes["both"], os.stat("both").st_size, os.stat("both").st_mtime > 1_000_000_000)
with tempfile.TemporaryDirectory(dir=".") as folder, tempfile.TemporaryFile(dir=folder) as file:
    file.write(b"gone")
    print(len(os.listdir(folder)), file.seek(0), file.read())
shutil.rmtree("copied")
os.rename("unpacked", "renamed")
print(sorted(os.listdir()))

logging.basicConfig(filename="log.txt", format="%(levelname)s %(message)s", level=logging.INFO)
logging.info("kept")
number = os.open("raw", os.O_RDWR | os.O_CREAT)
print(os.write(number, b"0123456789"), os.pread(number, 3, 4), os.ftruncate(number, 5), os.fsync(number), os.fstat(number).st_size)
os.close(number)
print(pathlib.Path("log.txt").read_text().split(), pathlib.Path("raw").read_bytes())
try:
    os.symlink("raw", "link")
except OSError as error:
    print(type(error).__name__)
#> False True ['data', 'out'] /out/work/inner
#> ['one\n', 'two\n'] 8 6 4 ['two', 'three']
#> (1000, 499500)
#> {'key': [1, 2, 3]} dbm.sqlite3
#> ['both', 'x.db'] True
#> True ['both', 'x.db']
#> 14 14 True
#> 0 0 b'gone'
#> ['all.zip', 'both', 'inner', 'renamed', 'shelf', 'tree.tar.gz', 'x.db']
#> 10 b'456' None None 5
#> ['INFO', 'kept'] b'01234'
#> PermissionError
