import glob, os, shutil
from pathlib import Path

root = Path("/out/tree")
(root / "a" / "b").mkdir(parents=True)
(root / "a" / "b" / "deep.txt").write_text("deep\n")
(root / "top.csv").write_bytes(b"x,y\n1,2\n")
print(sorted(path.name for path in root.rglob("*")), (root / "a").is_dir(), (root / "top.csv").suffix)
print([(folder, sorted(names)) for folder, _, names in os.walk(root)])
shutil.copy(root / "top.csv", root / "copy.csv")
(root / "copy.csv").rename(root / "moved.csv")
print(sorted(glob.glob("/out/tree/*.csv")), (root / "copy.csv").exists())
shutil.rmtree(root / "a")
(root / "moved.csv").unlink()
print(os.listdir(root), Path("/data/lines.txt").read_text().splitlines(), Path.cwd())
os.chdir("/out/tree")
print(Path("top.csv").read_text().split(), os.path.abspath("x"), os.path.samefile("top.csv", "/out/tree/top.csv"))
#> ['a', 'b', 'deep.txt', 'top.csv'] True .csv
#> [('/out/tree', ['top.csv']), ('/out/tree/a', []), ('/out/tree/a/b', ['deep.txt'])]
#> ['/out/tree/moved.csv', '/out/tree/top.csv'] False
#> ['top.csv'] ['one', 'two', 'three'] /
#> ['x,y', '1,2'] /out/tree/x True
