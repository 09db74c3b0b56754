# Completes words with a trie.
class Trie:
    def __init__(self):
        self.children, self.count = {}, 0

    def add(self, word, count=1):
        node = self
        for c in word:
            node = node.children.setdefault(c, Trie())
        node.count += count

    def words(self, prefix=""):
        if self.count:
            yield prefix, self.count
        for c in sorted(self.children):
            yield from self.children[c].words(prefix + c)

    def complete(self, prefix, n=3):
        node = self
        for c in prefix:
            if c not in node.children:
                return []
            node = node.children[c]
        return [word for word, _ in sorted(node.words(prefix), key=lambda item: (-item[1], item[0]))[:n]]

trie = Trie()
for word in "the then they the there them this that the then cat car card care".split():
    trie.add(word)
for prefix in ("the", "ca", "x", ""):
    print(repr(prefix), trie.complete(prefix))
print(len(list(trie.words())))
