import os, random, secrets, uuid

print(0 <= random.random() < 1, len(os.urandom(8)), len(secrets.token_hex(4)), uuid.uuid4().version)
print(len({random.random() for _ in range(100)}), len({uuid.uuid4() for _ in range(10)}))
random.seed(42)
print(random.randint(1, 100), random.choice("abc"), random.sample(range(10), 3), round(random.gauss(0, 1), 6))
print(uuid.uuid5(uuid.NAMESPACE_DNS, "example.org"), uuid.UUID(int=1))
#> True 8 8 4
#> 100 10
#> 82 a [0, 4, 3] 0.273599
#> aad03681-8b63-5304-89e0-8ca8f49461b5 00000000-0000-0000-0000-000000000001
