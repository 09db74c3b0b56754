# A database in a file, opened twice, copied, and dumped.
import os
import sqlite3
import tempfile

folder = tempfile.mkdtemp()
path = os.path.join(folder, "notes.db")
with sqlite3.connect(path) as db:
    db.execute("CREATE TABLE note (id INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT, done INT DEFAULT 0)")
    db.executemany("INSERT INTO note (text) VALUES (?)", [("milk",), ("it's late",), (None,)])
db.close()
again = sqlite3.connect(path)
print(again.execute("SELECT * FROM note WHERE text IS NOT NULL").fetchall())
copy = sqlite3.connect(":memory:")
again.backup(copy)
again.execute("DELETE FROM note")
print(again.execute("SELECT count(*) FROM note").fetchone(), copy.execute("SELECT count(*) FROM note").fetchone())
print("\n".join(line for line in copy.iterdump() if line.startswith("INSERT INTO \"note\"")))
again.close()
print(os.listdir(folder) == ["notes.db"])
