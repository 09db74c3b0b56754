# A page with a table and a chart of CSS bars, checked for balance.
import re
from html import escape

results = [("parse", 12.5, True), ("compile & link", 48.0, True), ("test <all>", 30.25, False)]
rows = "".join(
    f'<tr class="{"ok" if good else "bad"}"><td>{escape(name)}</td><td>{seconds:.2f} s</td>'
    f'<td><div style="width:{seconds / 48:.0%}"></div></td></tr>\n'
    for name, seconds, good in results
)
page = f"<!doctype html>\n<title>Build</title>\n<table>\n{rows}</table>\n<p>{sum(r[1] for r in results):.2f} s in all</p>"
print(page)
tags = re.findall(r"<(/?)(table|tr|td|div|p|title)\b", page)
print({tag: sum(1 if not close else -1 for close, t in tags if t == tag) for _, tag in tags})
