import sqlite3

base = sqlite3.connect(":memory:")
base.execute("create table t (id integer primary key, name text, score real)")
base.executemany("insert into t (name, score) values (?, ?)", [("ann", 1.5), ("bob", 2.5)])
print(base.execute("select name from t where score > ? order by name", (1,)).fetchall(), base.execute("select sum(score) from t").fetchone())
base.row_factory = sqlite3.Row
print(dict(base.execute("select * from t limit 1").fetchone()))
try:
    base.execute("insert into missing values (1)")
except sqlite3.OperationalError as error:
    print(error)
#> [('ann',), ('bob',)] (4.0,)
#> {'id': 1, 'name': 'ann', 'score': 1.5}
#> no such table: missing
