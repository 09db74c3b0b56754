# Unicode: names, normal forms, casefolding, width.
import unicodedata

for character in "Aé€ß漢🙂":
    print(f"U+{ord(character):04X} {unicodedata.name(character)} {unicodedata.category(character)} {character.encode().hex()}")
composed, decomposed = "é", unicodedata.normalize("NFD", "é")
print(len(composed), len(decomposed), composed == decomposed, unicodedata.normalize("NFC", decomposed) == composed)
print("straße".upper(), "STRASSE".casefold() == "straße".casefold(), "ǆ".title())
plain = "".join(c for c in unicodedata.normalize("NFKD", "Crème brûlée à la façon ½ ﬁn") if not unicodedata.combining(c))
print(plain)
print(unicodedata.lookup("GREEK SMALL LETTER OMEGA"), unicodedata.numeric("¾"), "٣".isdigit(), int("٣"))
