# Structural pattern matching on commands and trees.
from dataclasses import dataclass

@dataclass
class Move:
    x: int
    y: int = 0

def act(command):
    match command:
        case ["go", ("north" | "south") as direction]:
            return f"goes {direction}"
        case ["take", *things] if things:
            return "takes " + " and ".join(things)
        case {"type": "say", "text": str(text), **rest}:
            return f"says {text} {rest}"
        case Move(x=0, y=0):
            return "stays"
        case Move(x, y) if x == y:
            return f"moves diagonally by {x}"
        case Move():
            return "moves"
        case int(n) | float(n):
            return f"number {n}"
        case None | True | False:
            return "constant"
        case _:
            return "?"

for command in (["go", "north"], ["go", "up"], ["take", "lamp", "key"], ["take"], {"type": "say", "text": "hi", "loud": 1},
                Move(0), Move(2, 2), Move(1), 2.5, None, True, "x"):
    print(f"{command!r:45} {act(command)}")
