# Functions of Python in SQL: scalar, aggregate, collation, adapters.
import datetime
import math
import sqlite3

class Product:
    def __init__(self):
        self.value = 1

    def step(self, x):
        self.value *= x

    def finalize(self):
        return self.value

db = sqlite3.connect(":memory:", detect_types=sqlite3.PARSE_DECLTYPES)
db.create_function("root", 1, lambda x: math.sqrt(x) if x >= 0 else None)
db.create_aggregate("product", 1, Product)
db.create_collation("backwards", lambda a, b: (a < b) - (a > b))
sqlite3.register_adapter(datetime.date, datetime.date.isoformat)
sqlite3.register_converter("day", lambda raw: datetime.date.fromisoformat(raw.decode()))
db.row_factory = sqlite3.Row
db.execute("CREATE TABLE t (n REAL, name TEXT, d day)")
db.executemany("INSERT INTO t VALUES (:n, :name, :d)", [{"n": n, "name": name, "d": datetime.date(2024, 1, day)} for n, name, day in ((4, "a", 1), (9, "b", 2), (-1, "c", 3))])
for row in db.execute("SELECT root(n) AS r, name, d FROM t ORDER BY name COLLATE backwards"):
    print(row["name"], row["r"], row["d"], row.keys())
print(db.execute("SELECT product(n) FROM t").fetchone()[0], db.total_changes)
try:
    db.execute("SELECT * FROM nothing")
except sqlite3.OperationalError as error:
    print(error)
