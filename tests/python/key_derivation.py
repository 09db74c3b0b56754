import hashlib

# RFC 6070, RFC 7914.
print(hashlib.pbkdf2_hmac("sha1", b"password", b"salt", 2).hex())
print(hashlib.pbkdf2_hmac("sha1", b"passwordPASSWORDpassword", b"saltSALTsaltSALTsaltSALTsaltSALTsalt", 4096, 25).hex())
print(hashlib.pbkdf2_hmac("sha256", b"passwd", b"salt", 1, 64).hex()[:32])
print(hashlib.pbkdf2_hmac("sha512", bytearray(b"long" * 60), memoryview(b"s"), 1000, 5).hex())
for wrong in [("sha1", b"", b"", 0), ("sha1", b"", b"", 1, 0), ("none", b"", b"", 1), (1, b"", b"", 1), ("sha1", "text", b"", 1)]:
    try:
        print(hashlib.pbkdf2_hmac(*wrong))
    except (TypeError, ValueError) as error:
        print("TypeError" if isinstance(error, TypeError) else "ValueError")
vectors = [(b"", b"", 16, 1, 1), (b"password", b"NaCl", 1024, 8, 16), (b"pleaseletmein", b"SodiumChloride", 16384, 8, 1)]
for password, salt, n, r, p in vectors:
    print(hashlib.scrypt(password, salt=salt, n=n, r=r, p=p).hex()[:32])
print(hashlib.scrypt(bytearray(b"p"), salt=memoryview(b"s"), n=2, r=3, p=2, dklen=7).hex())
for wrong in [{"n": 15}, {"n": 1}, {"n": 1 << 20}, {"n": 16, "maxmem": 100}, {"n": 16, "maxmem": -1}, {"n": 16, "dklen": 0}, {"n": 16, "r": 0}]:
    try:
        print(hashlib.scrypt(b"p", **{"salt": b"s", "r": 8, "p": 1, **wrong}))
    except ValueError:
        print("ValueError")
print(len(hashlib.scrypt(b"p", salt=b"s", n=1 << 15, r=8, p=1, maxmem=64 << 20, dklen=100)))
#> ea6c014dc72d6f8ccd1ed92ace1d41f0d8de8957
#> 3d2eec4fe41c849b80c8d83662c0e44a8b291a964cf2f07038
#> 55ac046e56e3089fec1691c22544b605
#> 16e055fb30
#> ValueError
#> ValueError
#> ValueError
#> TypeError
#> TypeError
#> 77d6576238657b203b19ca42c18a0497
#> fdbabe1c9d3472007856e7190d01e9fe
#> 7023bdcb3afd7348461c06cd81fd38eb
#> 0653174ed389c7
#> ValueError
#> ValueError
#> ValueError
#> ValueError
#> ValueError
#> ValueError
#> ValueError
#> 100
