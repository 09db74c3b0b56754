# Reads TOML: tables, arrays, dates; and its errors.
import tomllib
from datetime import date

text = """
title = "Everything"
[owner]
name = "Ada \\u00e9"
born = 1815-12-10
[[server]]
host = "alpha"
ports = [8000, 8_001]
[[server]]
host = 'beta\\n'
ratio = 1e-3
on = true
[a.b.c]
text = '''
two
lines'''
"""
config = tomllib.loads(text)
print(config["title"], config["owner"], config["owner"]["born"] < date(1900, 1, 1))
for server in config["server"]:
    print(server)
print(repr(config["a"]["b"]["c"]["text"]))
for bad in ("a = ", "a = 1\na = 2", "[x\n", "d = 2024-02-30"):
    try:
        tomllib.loads(bad)
    except tomllib.TOMLDecodeError as error:
        print(repr(bad), "is no TOML")
