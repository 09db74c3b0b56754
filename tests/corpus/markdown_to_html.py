# A small subset of Markdown, to HTML.
import re

def inline(text):
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", text)
    text = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", text)
    text = re.sub(r"\*(.+?)\*", r"<i>\1</i>", text)
    return re.sub(r"\[([^]]+)\]\(([^)]+)\)", r'<a href="\2">\1</a>', text)

def render(source):
    for block in re.split(r"\n\s*\n", source.strip()):
        if match := re.match(r"(#{1,3}) (.*)", block):
            level = len(match[1])
            yield f"<h{level}>{inline(match[2])}</h{level}>"
        elif block.startswith("- "):
            yield "<ul>" + "".join(f"<li>{inline(line[2:])}</li>" for line in block.splitlines()) + "</ul>"
        else:
            yield f"<p>{inline(' '.join(block.split()))}</p>"

print("\n".join(render("""
# Title with `code`

Some **bold** and *thin* text
over two lines, with [a link](https://example.com).

- one
- **two**
""")))
