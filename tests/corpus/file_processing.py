# Writes a file, changes lines in place, appends, and counts like wc.
import fileinput
import os
import tempfile

path = os.path.join(tempfile.mkdtemp(), "list.txt")
with open(path, "w") as file:
    print("milk 1", "eggs 12", "tea 3", sep="\n", file=file)
with fileinput.input(path, inplace=True) as lines:
    for line in lines:
        name, count = line.split()
        print(name, int(count) * 2)
with open(path, "a+") as file:
    file.write("salt 1\n")
    file.seek(0)
    content = file.read()
print(content, end="")
print(len(content.splitlines()), len(content.split()), os.path.getsize(path), os.path.splitext(os.path.basename(path)))
with open(path, "rb") as file:
    file.seek(-7, os.SEEK_END)
    print(file.read(), file.tell())
try:
    open(path, "x")
except FileExistsError as error:
    print(error.strerror)
os.replace(path, path + ".bak")
print(os.listdir(os.path.dirname(path)), os.path.exists(path))
