# What regular expressions can do: groups, looks, substitution by function, flags.
import re

print(re.sub(r"(?<=\d)(?=(\d{3})+$)", ",", "1234567"))
print(re.findall(r"\b(\w)(\w*)\1\b", "abba dad noon level xyz"))
print(re.split(r"\s*([,;])\s*", "a , b;c"), re.split(r"(?i)x", "aXbxc", maxsplit=1))
print(re.sub(r"(?P<first>\w+) (?P<last>\w+)", r"\g<last>, \g<first>", "Ada Lovelace"))
print(re.sub(r"[aeiou]", lambda match: match[0].upper() * 2, "regular expressions", count=4))
pattern = re.compile(r"^(?P<key>[^=\s]+)\s*=\s*(?:\"(?P<q>[^\"]*)\"|(?P<v>\S*))", re.MULTILINE)
print([(m["key"], m["q"] if m["q"] is not None else m["v"], m.span()) for m in pattern.finditer('a = 1\nb="two words"\n# c\nd=')])
print(re.fullmatch(r"(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$){1}.*", "192.168.0.1") is not None, re.match(r"(a+)+$", "a" * 20) is not None)
print(re.escape("1+1=2?"), re.search(r"(?s)<b>(.*?)</b>", "x<b>\nhi</b>")[1], bool(re.search(r"\bü", "für üben")))
try:
    re.compile("(unclosed")
except re.error as error:
    print(error)
