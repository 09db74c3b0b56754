# Readability of a text: sentences, syllables, long words.
import re
from statistics import mean

text = """The old man walked slowly. He carried a heavy, complicated apparatus under his arm!
Did anyone notice? Unfortunately, nobody was particularly interested in mechanical curiosities."""
sentences = [s.strip() for s in re.split(r"(?<=[.!?])\s+", text) if s.strip()]
words = re.findall(r"[A-Za-z']+", text)

def syllables(word):
    word = re.sub(r"e$", "", word.lower())
    return max(1, len(re.findall(r"[aeiouy]+", word)))

per_sentence = len(words) / len(sentences)
per_word = mean(map(syllables, words))
print(len(sentences), len(words), f"{per_sentence:.2f} {per_word:.3f}")
print(f"Flesch {206.835 - 1.015 * per_sentence - 84.6 * per_word:.1f}")
print([word for word in words if syllables(word) >= 4], max(words, key=len), sum(c.isupper() for c in text))
