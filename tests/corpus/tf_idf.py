# Finds what a document is about by tf-idf.
import math
import re
from collections import Counter

documents = {
    "rust": "Rust is a language with ownership. Ownership makes memory safe.",
    "python": "Python is a language with a friendly community and many libraries.",
    "tea": "Green tea is a drink. A cup of tea with friends is friendly.",
}
counts = {name: Counter(re.findall(r"\w+", text.lower())) for name, text in documents.items()}
df = Counter(word for count in counts.values() for word in count)

def score(word, count):
    return count[word] / count.total() * math.log(len(documents) / df[word])

for name, count in counts.items():
    best = sorted(count, key=lambda word: (-score(word, count), word))[:3]
    print(name, [(word, round(score(word, count), 4)) for word in best])
query = "friendly tea language"
print(max(documents, key=lambda name: sum(score(word, counts[name]) for word in query.split() if word in counts[name])))
