# Ranks and running totals with window functions, and a recursive query.
import sqlite3

db = sqlite3.connect(":memory:")
db.execute("CREATE TABLE sales (day TEXT, seller TEXT, amount INT)")
db.executemany("INSERT INTO sales VALUES (?, ?, ?)", [("01", "ada", 10), ("01", "bob", 30), ("02", "ada", 25), ("02", "bob", 5), ("03", "ada", 40)])
for row in db.execute("""SELECT day, seller, amount, SUM(amount) OVER (PARTITION BY seller ORDER BY day) AS running,
        RANK() OVER (ORDER BY amount DESC) AS place FROM sales ORDER BY seller, day"""):
    print(*row, sep="\t")
print(db.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10) SELECT group_concat(i, '-') FROM n").fetchone())
print(db.execute("SELECT seller, json_group_array(amount) FROM sales GROUP BY seller").fetchall())
