# A tree that keeps its versions: each change shares what it does not touch.
from __future__ import annotations

from typing import NamedTuple, Optional

class Node(NamedTuple):
    key: int
    value: str
    left: Optional[Node] = None
    right: Optional[Node] = None

def put(node, key, value):
    if node is None:
        return Node(key, value)
    if key < node.key:
        return node._replace(left=put(node.left, key, value))
    if key > node.key:
        return node._replace(right=put(node.right, key, value))
    return node._replace(value=value)

def items(node):
    if node:
        yield from items(node.left)
        yield node.key, node.value
        yield from items(node.right)

versions = [None]
for key, value in ((5, "five"), (2, "two"), (8, "eight"), (2, "zwei"), (9, "nine")):
    versions.append(put(versions[-1], key, value))
for number, version in enumerate(versions):
    print(number, dict(items(version)))
print(versions[3].right is versions[4].right, versions[4].left is versions[5].left, versions[4].right is versions[5].right)
