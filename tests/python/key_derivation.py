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
#> ea6c014dc72d6f8ccd1ed92ace1d41f0d8de8957
#> 3d2eec4fe41c849b80c8d83662c0e44a8b291a964cf2f07038
#> 55ac046e56e3089fec1691c22544b605
#> 16e055fb30
#> ValueError
#> ValueError
#> ValueError
#> TypeError
#> TypeError
