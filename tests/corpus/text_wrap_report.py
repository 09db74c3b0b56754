# Formats paragraphs, aligned and wrapped.
import textwrap

text = """    Everything that is computed here was computed before, but nobody wrote down
    how long it took.

    A second paragraph has averyveryverylongwordthatdoesnotfit in it, and ends."""
text = textwrap.dedent(text)
for paragraph in text.split("\n\n"):
    print(textwrap.fill(" ".join(paragraph.split()), width=28, initial_indent="* ", subsequent_indent="  "))
print(textwrap.shorten(text.replace("\n", " "), 40, placeholder=" [...]"))
print(textwrap.indent("one\n\ntwo", "> ", lambda line: True))
for word in ("left", "mid", "right"):
    print(f"|{word:<9}|{word:^9}|{word:>9}|{word:*^9}|")
