# Counts words of a text, ignoring case and punctuation.
import re
from collections import Counter

text = """The quick brown fox jumps over the lazy dog. The dog sleeps;
the fox, being quick, does not. A fox is a fox!"""
words = re.findall(r"[a-z']+", text.lower())
counts = Counter(words)
print(f"{len(words)} words, {len(counts)} distinct")
for word, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:6]:
    print(f"{word:<6}{count:>3} {'#' * count}")
