import copy, inspect, io, os, pathlib, pickle, shutil, time

def tried(what, *args):
    try:
        return what(*args)
    except OSError as error:
        return f"{type(error).__name__} {error.filename}"

os.makedirs("/out/folder")
os.chdir("/out/folder")
print(os.getcwd(), os.getcwdb(), os.path.abspath(b"x"), os.path.realpath(b"."))

print(tried(open, "none/", "w"), tried(open, "/out/none/", "a"), tried(os.open, b"none/", os.O_CREAT | os.O_WRONLY), tried(os.listdir))
with open("file", "w") as file:
    file.write("a file")
print(tried(shutil.copyfile, "file", "none/"), os.listdir())

for what in (open, os.stat, os.listdir, os.remove, os.rmdir, os.mkdir, lambda path: open(path, "w")):
    print(tried(what, "file/x"), end=", ")
print(tried(os.stat, pathlib.Path("file/x/y")))
print(tried(os.listdir, "file"), tried(os.rmdir, "file"), tried(os.chdir, "file"), tried(open, "/out"), tried(os.rename, "/out", "x"))
print(os.path.exists("file/x"), pathlib.Path("file/x").is_file(), tried(os.rmdir, "/out/folder"), open("file").read())

class Kept:
    open, stat, unlink, getcwd = open, os.stat, os.unlink, os.getcwd
    sleep, clock = time.sleep, time.time

kept = Kept()
print(kept.stat("file").st_size, kept.getcwd(), kept.clock() > 0, kept.sleep(0), kept.open("file").read(), kept.unlink("file"))
for function in (open, os.unlink, os.replace, os.getcwd, time.sleep, input):
    print(function, pickle.loads(pickle.dumps(function)) is copy.deepcopy(function) is function, end=" ")
print(inspect.signature(os.stat), os.open.__name__, io.open is open, {type(entry) for entry in os.scandir("/out")} == {os.DirEntry})
#> /out/folder b'/out/folder' b'/out/folder/x' b'/out/folder'
#> IsADirectoryError none/ IsADirectoryError /out/none/ IsADirectoryError b'none/' []
#> FileNotFoundError None ['file']
#> NotADirectoryError file/x, NotADirectoryError file/x, NotADirectoryError file/x, NotADirectoryError file/x, NotADirectoryError file/x, NotADirectoryError file/x, NotADirectoryError file/x, NotADirectoryError file/x/y
#> NotADirectoryError file NotADirectoryError file NotADirectoryError file IsADirectoryError /out OSError /out
#> False False OSError /out/folder a file
#> 6 /out/folder True None a file None
#> <built-in function open> True <built-in function unlink> True <built-in function replace> True <built-in function getcwd> True <built-in function sleep> True <built-in function input> True (path, *, dir_fd=None, follow_symlinks=True) open True True
