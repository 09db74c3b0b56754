# Scores of bowling.
def score(rolls):
    total, at = 0, 0
    for frame in range(10):
        if rolls[at] == 10:
            total += 10 + rolls[at + 1] + rolls[at + 2]
            at += 1
        elif rolls[at] + rolls[at + 1] == 10:
            total += 10 + rolls[at + 2]
            at += 2
        else:
            total += rolls[at] + rolls[at + 1]
            at += 2
        yield total

def parse(text):
    rolls = []
    for c in text.replace(" ", ""):
        rolls.append(10 if c == "X" else 10 - rolls[-1] if c == "/" else 0 if c == "-" else int(c))
    return rolls

for game in ("X X X X X X X X X X X X", "9- 9- 9- 9- 9- 9- 9- 9- 9- 9-", "5/ 5/ 5/ 5/ 5/ 5/ 5/ 5/ 5/ 5/5", "X 7/ 9- X -8 8/ -6 X X X81"):
    print(game, list(score(parse(game))))
