# A chain of blocks with proofs of work, and what happens when one is changed.
import hashlib
import json

def digest(block):
    return hashlib.sha256(json.dumps(block, sort_keys=True).encode()).hexdigest()

def mine(data, previous, zeros=2):
    block = {"data": data, "previous": previous, "nonce": 0}
    while not digest(block).startswith("0" * zeros):
        block["nonce"] += 1
    return block

chain, previous = [], "0" * 64
for data in ("genesis", "ada pays bob 5", "bob pays cy 2"):
    chain.append(mine(data, previous))
    previous = digest(chain[-1])
    print(chain[-1]["nonce"], previous[:16])

def valid(chain):
    previous = "0" * 64
    for number, block in enumerate(chain):
        if block["previous"] != previous or not digest(block).startswith("00"):
            return f"block {number} is wrong"
        previous = digest(block)
    return "valid"

print(valid(chain))
chain[1]["data"] = "ada pays bob 500"
print(valid(chain))
