# Morse code, there and back.
CODE = dict(zip("abcdefghijklmnopqrstuvwxyz", ".- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .-- -..- -.-- --..".split()))
LETTER = {code: letter for letter, code in CODE.items()}

def encode(text):
    return " / ".join(" ".join(CODE[c] for c in word if c in CODE) for word in text.lower().split())

def decode(code):
    return " ".join("".join(LETTER[c] for c in word.split()) for word in code.split(" / "))

for text in ("SOS", "Hello World", "what hath god wrought?"):
    code = encode(text)
    print(code, "=", decode(code))
print(min(CODE, key=lambda c: (len(CODE[c]), c)), sum(map(len, CODE.values())))
