# Ranks poker hands.
from collections import Counter

def rank(hand):
    values = sorted(("23456789TJQKA".index(card[0]) for card in hand.split()), reverse=True)
    groups = sorted(Counter(values).items(), key=lambda item: (-item[1], -item[0]))
    shape = tuple(count for _, count in groups)
    flush = len({card[1] for card in hand.split()}) == 1
    if values == [12, 3, 2, 1, 0]:
        groups = [(3, 1)]
        straight = True
    else:
        straight = len(groups) == 5 and values[0] - values[4] == 4
    names = [((4, 1), 7, "four of a kind"), ((3, 2), 6, "full house"), ((3, 1, 1), 3, "three of a kind"), ((2, 2, 1), 2, "two pairs"), ((2, 1, 1, 1), 1, "pair")]
    if flush and straight:
        level, name = 8, "straight flush"
    elif flush:
        level, name = 5, "flush"
    elif straight:
        level, name = 4, "straight"
    else:
        level, name = next(((n, text) for s, n, text in names if s == shape), (0, "high card"))
    return level, [value for value, _ in groups], name

hands = ["2H 3D 5S 9C KD", "2C 3H 4S 8C AH", "AS 2S 3S 4S 5S", "KH KD KS 2C 2D", "5H 5D 9S 9C AD", "TH JH QH KH 2H", "TD JC QH KS AD"]
for hand in sorted(hands, key=rank, reverse=True):
    print(hand, rank(hand)[2])
