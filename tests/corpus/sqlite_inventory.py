# An inventory in SQLite: tables, joins, a transaction that is rolled back.
import sqlite3

db = sqlite3.connect(":memory:")
db.execute("PRAGMA foreign_keys = ON")
db.executescript("""
CREATE TABLE supplier (id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL);
CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, stock INTEGER CHECK (stock >= 0), supplier REFERENCES supplier);
""")
db.executemany("INSERT INTO supplier (name) VALUES (?)", [("Acme",), ("Globex",)])
db.executemany("INSERT INTO item (name, stock, supplier) VALUES (?, ?, ?)", [("bolt", 100, 1), ("nut", 80, 1), ("gear", 7, 2)])
db.commit()
try:
    with db:
        db.execute("UPDATE item SET stock = stock - 50 WHERE name = 'bolt'")
        db.execute("UPDATE item SET stock = stock - 50 WHERE name = 'gear'")
except sqlite3.IntegrityError as error:
    print("rolled back:", error)
for row in db.execute("""SELECT s.name, count(*), sum(stock) FROM item i JOIN supplier s ON s.id = i.supplier GROUP BY s.id ORDER BY 1"""):
    print(row)
