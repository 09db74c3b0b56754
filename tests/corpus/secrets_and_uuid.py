# Ids: derived ones are the same everywhere, random ones are different each time.
import secrets
import uuid

print(uuid.uuid5(uuid.NAMESPACE_DNS, "example.com"), uuid.uuid3(uuid.NAMESPACE_URL, "https://example.com/"))
a, b = uuid.uuid4(), uuid.uuid4()
print(a != b, a.version, a.variant == uuid.RFC_4122, len({uuid.uuid4() for _ in range(50)}))
parsed = uuid.UUID("{12345678-1234-5678-1234-567812345678}")
print(parsed.hex, parsed.int, parsed.fields[0], parsed.bytes[:4], sorted([parsed, uuid.UUID(int=5)])[0])
token = secrets.token_hex(16)
print(len(token), secrets.token_hex(16) != token, len(secrets.token_urlsafe(12)), 0 <= secrets.randbelow(10) < 10)
try:
    uuid.UUID("nonsense")
except ValueError as error:
    print(error)
