# Methods of text, one after the other.
text = "  The Quick\tbrown fox\n"
print(repr(text.strip()), text.split(), repr(text.expandtabs(4)), text.swapcase().split()[0])
print("a-b-c".partition("-"), "a-b-c".rpartition("-"), "a-b-c".rsplit("-", 1), "x".join("abc"), "abc".zfill(6), "-42".zfill(6))
print("hello world".title(), "they're".capitalize(), "ABC".isupper(), "a1".isalnum(), "½".isnumeric(), " ".isspace(), "def".isidentifier())
print("banana".count("an"), "banana".find("n", 3), "banana".rfind("n"), "banana".replace("a", "o", 2), "banana".index("nan"))
print("one two".startswith(("two", "one")), "file.tar.gz".removesuffix(".gz"), "abcabc".strip("ac"), "hello".translate(str.maketrans("el", "ip", "o")))
print("line1\nline2\r\nline3\x0bline4".splitlines(), "a,b,,c".split(","), "abc"[::-1], "abcdef"[1:5:2], "ab" * 3, "b" in "abc", "Z" < "a")
print("\N{SNOWMAN}", "caf\u00e9", r"raw\n", b"bytes\x00", "tab\there".encode("unicode_escape"), ascii("ü"), "%r" % "it's")
