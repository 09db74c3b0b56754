import base64, binascii, hashlib, hmac, struct, zlib

print(hashlib.sha256(b"everstep").hexdigest()[:16], hashlib.md5(b"").hexdigest()[:8], hashlib.blake2b(b"x", digest_size=4).hexdigest())
print(hmac.new(b"key", b"message", "sha1").hexdigest()[:12], f"{zlib.crc32(b'abc'):08x}", zlib.decompress(zlib.compress(b"a" * 99)) == b"a" * 99)
print(base64.b64encode(bytes(range(6))), binascii.hexlify(b"\xff\x00"), struct.unpack("<HI", struct.pack("<HI", 7, 9)))
print(bytearray(b"abc")[::-1], memoryview(b"xyz")[1], "é".encode("latin-1"), b"\xe2\x82\xac".decode())
#> e7f355c0f58afc18 d41d8cd9 b1ba07e5
#> 2088df74d5f2 352441c2 True
#> b'AAECAwQF' b'ff00' (7, 9)
#> bytearray(b'cba') 121 b'\xe9' €
