# Digests of texts and a tiny hash chain.
import hashlib
import hmac
import json

for name in ("md5", "sha1", "sha256", "sha3_224", "blake2s"):
    print(f"{name:9}", hashlib.new(name, b"everything is a file").hexdigest()[:32])
chain, previous = [], "0" * 8
for number, text in enumerate(["first", "second", "third"]):
    block = {"number": number, "text": text, "previous": previous}
    previous = hashlib.sha256(json.dumps(block, sort_keys=True).encode()).hexdigest()[:8]
    chain.append((previous, block))
print(*chain, sep="\n")
key = hmac.new(b"key", b"message", "sha256").hexdigest()
print(key[:16], hmac.compare_digest(key, key.upper().lower()))
