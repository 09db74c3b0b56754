# Renders rows as an HTML table, with what is dangerous escaped.
from html import escape, unescape
from string import Template

rows = [("name", "note"), ("Ada <ada@example.com>", "likes \"engines\" & numbers"), ("Bob", "<script>alert(1)</script>")]
cell = Template("<$tag>$text</$tag>")
lines = ["<table>"]
for number, row in enumerate(rows):
    tag = "td" if number else "th"
    lines.append("  <tr>" + "".join(cell.substitute(tag=tag, text=escape(value)) for value in row) + "</tr>")
lines.append("</table>")
page = "\n".join(lines)
print(page)
print(unescape(page).count("<script>"), "script after unescaping,", page.count("<script>"), "before")
