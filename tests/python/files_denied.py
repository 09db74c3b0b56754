import os, pathlib

def tried(what):
    try:
        return what()
    except OSError as error:
        return type(error).__name__

print(tried(lambda: open("/etc/passwd")), tried(lambda: open("/data/none.txt")), tried(lambda: open("/data/lines.txt", "w")))
print(tried(lambda: open("/data")), tried(lambda: os.listdir("/data/lines.txt")), tried(lambda: os.remove("/data/lines.txt")))
print(tried(lambda: open("/out/../etc/passwd")), tried(lambda: pathlib.Path("/secret").read_text()), tried(lambda: open("")))
print(tried(lambda: open("/out/new", "x").close()), tried(lambda: open("/out/new", "x")), os.path.exists("/etc/passwd"))
for mode in ("", "rw", "q"):
    try:
        open("/data/lines.txt", mode)
    except ValueError as error:
        print(type(error).__name__, end=" ")
print()
#> PermissionError FileNotFoundError PermissionError
#> IsADirectoryError NotADirectoryError PermissionError
#> PermissionError FileNotFoundError FileNotFoundError
#> None FileExistsError False
#> ValueError ValueError ValueError 
