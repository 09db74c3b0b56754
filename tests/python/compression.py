# bz2, lzma and zstd are CPython's own, over the C libraries.
import bz2, io, lzma, shutil, tarfile, zipfile
from compression import zstd

text = bytes(range(256)) * 500
for module in (bz2, lzma, zstd):
    packed = module.compress(text)
    print(module.__name__, len(packed) < 5000, module.decompress(packed) == text)
    with module.open("/out/file", "wb") as file:
        file.write(text)
        file.write(text)
    with module.open("/out/file", "rt", encoding="latin-1") as file:
        print(len(file.read()))
    # What is cut short, changed or nothing of the kind is an exception.
    found = []
    for broken in (packed[:-5], packed[:20] + bytes(20) + packed[40:], b"\xff" * 200, b"\x28\xb5\x2f\xfd" + b"\xff" * 60, b"BZh9" + b"\xa5" * 90):
        try:
            found.append(len(module.decompress(broken)))
        except Exception as error:
            found.append(type(error).__name__)
    print(*found)
for kind in ("bz2", "xz", "zst"):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:" + kind) as archive:
        info = tarfile.TarInfo("member")
        info.size = len(text)
        archive.addfile(info, io.BytesIO(text))
    out.seek(0)
    print(kind, tarfile.open(fileobj=out).extractfile("member").read() == text)
for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, zipfile.ZIP_ZSTANDARD):
    with zipfile.ZipFile(out := io.BytesIO(), "w", method) as archive:
        archive.writestr("member", text)
    print(method, zipfile.ZipFile(out).read("member") == text)
print(*(name for name, _ in shutil.get_archive_formats()))
samples = [b"user %d said hello" % n for n in range(2000)]
words = zstd.train_dict(samples, 1024)
print(zstd.decompress(zstd.compress(samples[7], zstd_dict=words), zstd_dict=words))
# Four gigabytes out of less than one megabyte fit into no memory that a program has.
for module, compressor in ((bz2, bz2.BZ2Compressor()), (lzma, lzma.LZMACompressor(preset=0)), (zstd, zstd.ZstdCompressor())):
    zeros = bytes(1 << 20)
    bomb = (b"".join(compressor.compress(zeros) for _ in range(16)) + compressor.flush()) * 256
    try:
        module.decompress(bomb)
    except MemoryError:
        print(module.__name__, "MemoryError", len(bomb) < 1 << 20)
#> bz2 True True
#> 256000
#> ValueError OSError OSError OSError OSError
#> lzma True True
#> 256000
#> LZMAError LZMAError LZMAError LZMAError LZMAError
#> compression.zstd True True
#> 256000
#> ZstdError 128000 ZstdError ZstdError ZstdError
#> bz2 True
#> xz True
#> zst True
#> 12 True
#> 14 True
#> 93 True
#> bztar gztar tar xztar zip zstdtar
#> b'user 7 said hello'
#> bz2 MemoryError True
#> lzma MemoryError True
#> compression.zstd MemoryError True
