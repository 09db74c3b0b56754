# Writes logs that rotate, and finds them by patterns.
import fnmatch
import glob
import logging.handlers
import os
import tempfile

folder = tempfile.mkdtemp()
handler = logging.handlers.RotatingFileHandler(os.path.join(folder, "app.log"), maxBytes=60, backupCount=2)
log = logging.Logger("app")
log.addHandler(handler)
for n in range(9):
    log.warning("message number %d", n)
handler.close()
for path in sorted(glob.glob(os.path.join(folder, "app.log*"))):
    with open(path) as file:
        print(os.path.basename(path), file.read().split("\n"))
names = ["a.py", "b.pyc", "test_a.py", "[x].py", "README"]
print(fnmatch.filter(names, "*.py"), fnmatch.filter(names, "[!t]*.p*"), fnmatch.filter(names, "[[]*"), [n for n in names if fnmatch.fnmatchcase(n, "read*")])
print(sorted(os.path.basename(p) for p in glob.iglob(folder + "/**", recursive=True) if os.path.isfile(p)))
