# A Markov chain over words, with a seed.
import random
from collections import defaultdict

text = "the cat sat on the mat and the dog sat on the cat and the cat ran"
chain = defaultdict(list)
words = text.split()
for a, b in zip(words, words[1:]):
    chain[a].append(b)
dice = random.Random(3)
word, line = "the", ["the"]
while len(line) < 12 and chain[word]:
    word = dice.choice(chain[word])
    line.append(word)
print(" ".join(line))
print({word: sorted(set(after)) for word, after in sorted(chain.items()) if after})
