import glob, os, pathlib, shutil

def tried(what, *args):
    try:
        return what(*args)
    except OSError as error:
        return f"{type(error).__name__} {error.strerror} {error.filename!r}"

os.chdir("/out")
open("here", "w").close()
for what in (open, os.listdir, os.scandir, os.chdir, os.stat, os.mkdir, os.remove, os.rmdir, os.path.getsize, shutil.rmtree):
    print(what.__name__, tried(what, ""))
print(tried(open, "", "w"), tried(os.open, b"", os.O_RDONLY), tried(os.rename, "", "x"), tried(os.rename, "here", ""))
print(os.path.exists(""), os.path.isdir(""), os.access("", os.F_OK), glob.glob(""), os.path.abspath(""), pathlib.Path("").exists())
print(os.listdir(), os.listdir("."), os.getcwd(), [str(path) for path in pathlib.Path("").iterdir()], os.stat(".").st_size >= 0)
#> open FileNotFoundError No such file or directory ''
#> listdir FileNotFoundError No such file or directory ''
#> scandir FileNotFoundError No such file or directory ''
#> chdir FileNotFoundError No such file or directory ''
#> stat FileNotFoundError No such file or directory ''
#> mkdir FileNotFoundError No such file or directory ''
#> remove FileNotFoundError No such file or directory ''
#> rmdir FileNotFoundError No such file or directory ''
#> getsize FileNotFoundError No such file or directory ''
#> rmtree FileNotFoundError No such file or directory ''
#> FileNotFoundError No such file or directory '' FileNotFoundError No such file or directory b'' FileNotFoundError No such file or directory '' FileNotFoundError No such file or directory 'here'
#> False False False [] /out True
#> ['here'] ['here'] /out ['here'] True
