import copy, marshal, pickle, shelve, zipfile, io

class Point:
    def __init__(self, x):
        self.x = x
    def __eq__(self, other):
        return self.x == other.x

print(pickle.loads(pickle.dumps(Point(3))) == Point(3), pickle.loads(pickle.dumps({"a": (1, {2})})))
held = io.BytesIO()
with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
    archive.writestr("a.txt", "x" * 100)
print(zipfile.ZipFile(held).read("a.txt") == b"x" * 100, marshal.loads(marshal.dumps([1, "a"])))
with zipfile.ZipFile("/out/z.zip", "w") as archive:
    archive.writestr("b.txt", "in a file")
print(zipfile.ZipFile("/out/z.zip").namelist(), copy.copy([1, [2]]))
#> True {'a': (1, {2})}
#> True [1, 'a']
#> ['b.txt'] [1, [2]]
