# A text adventure that plays itself.
import shlex

rooms = {
    "hall": {"text": "A hall.", "exits": {"north": "garden", "down": "cellar"}, "things": {"lamp"}},
    "garden": {"text": "A garden.", "exits": {"south": "hall"}, "things": {"key"}},
    "cellar": {"text": "It is dark.", "exits": {"up": "hall"}, "things": {"chest"}},
}
here, bag, score = "hall", set(), 0
script = """look
take lamp
north
take "key"
dance
south
down
open chest
take chest"""
for line in script.splitlines():
    verb, *rest = shlex.split(line)
    print(">", line)
    room = rooms[here]
    if verb in room["exits"]:
        here = room["exits"][verb]
        print(rooms[here]["text"])
    elif verb == "look":
        print(room["text"], "You see", ", ".join(sorted(room["things"])))
    elif verb == "take" and rest[0] in room["things"] and rest[0] != "chest":
        room["things"].remove(rest[0])
        bag.add(rest[0])
        score += 5
        print("Taken.")
    elif verb == "open" and {"lamp", "key"} <= bag:
        score += 10
        print("Gold!")
    else:
        print("You cannot do that.")
print("score", score, sorted(bag))
