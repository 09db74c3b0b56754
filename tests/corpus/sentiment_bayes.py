# A naive Bayes classifier of short reviews.
import math
from collections import Counter

training = [("good great fun", "pos"), ("great acting good story", "pos"), ("bad boring", "neg"), ("awful bad plot", "neg"), ("fun but long", "pos")]
words = {"pos": Counter(), "neg": Counter()}
labels = Counter()
for text, label in training:
    words[label].update(text.split())
    labels[label] += 1
vocabulary = set().union(*words.values())

def classify(text):
    scores = {}
    for label in sorted(words):
        scores[label] = math.log(labels[label] / labels.total())
        for word in text.split():
            scores[label] += math.log((words[label][word] + 1) / (words[label].total() + len(vocabulary)))
    return max(scores, key=scores.get), {label: round(score, 5) for label, score in scores.items()}

for text in ("good story", "boring awful", "long"):
    print(text, *classify(text))
