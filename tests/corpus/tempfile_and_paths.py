# Writes a tree of files, walks it, and sums up sizes.
import os
import shutil
import tempfile
from pathlib import Path

with tempfile.TemporaryDirectory() as name:
    root = Path(name)
    for path, size in [("a.txt", 10), ("sub/b.log", 200), ("sub/deep/c.txt", 5), ("sub/deep/d.log", 40)]:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x" * size)
    print(sorted(str(p.relative_to(root)) for p in root.rglob("*.txt")))
    for folder, folders, files in sorted(os.walk(root)):
        print(Path(folder).relative_to(root), sorted(folders), sum((Path(folder) / f).stat().st_size for f in files))
    (root / "a.txt").rename(root / "z.txt")
    shutil.copytree(root / "sub", root / "copy")
    shutil.rmtree(root / "sub")
    print(sorted(p.name for p in root.iterdir()), (root / "copy/deep/d.log").exists())
print(Path(name).exists())
