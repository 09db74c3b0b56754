import string, textwrap, unicodedata

print("Straße".casefold(), "ǆ".title(), unicodedata.name("é"), unicodedata.normalize("NFD", "é").encode())
print("a,b,,c".split(","), "  x ".strip(), "abc".translate(str.maketrans("ac", "xz")), "%05d|%-4s|" % (42, "l"))
print(string.Template("$who likes $what").substitute(who="ann", what="tea"), textwrap.dedent("  x\n  y").splitlines())
print("{:>6}|{:<6}|{!r}".format("a", "b", "c"), "abc"[::-1], "é" in "café", "\N{SNOWMAN}", ascii("é"))
#> strasse ǅ LATIN SMALL LETTER E WITH ACUTE b'e\xcc\x81'
#> ['a', 'b', '', 'c'] x xbz 00042|l   |
#> ann likes tea ['x', 'y']
#>      a|b     |'c' cba True ☃ '\xe9'
