# Hangman, with guesses by how often letters occur in the words that are left.
from collections import Counter

words = "python pythia pylons typhon castle cattle battle rattle bottle".split()

def play(secret, lives=5):
    known, wrong = {}, set()
    while lives:
        left = [w for w in words if len(w) == len(secret) and not wrong & set(w)
                and all(w[i] == c for i, c in known.items()) and all((w[i] in known.values()) <= (i in known) for i in range(len(w)))]
        counts = Counter(c for w in left for c in set(w) if c not in known.values())
        guess = min(counts, key=lambda c: (-counts[c], c))
        spots = [i for i, c in enumerate(secret) if c == guess]
        if spots:
            known.update(dict.fromkeys(spots, guess))
        else:
            wrong.add(guess)
            lives -= 1
        print(f"{len(left)} left, {guess}: {''.join(known.get(i, '_') for i in range(len(secret)))} {lives}")
        if len(known) == len(secret):
            return True
    return False

print(play("rattle"), play("typhon"))
