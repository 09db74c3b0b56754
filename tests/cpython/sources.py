"""sources.py TOOLS FOLDER: unpacks the standard library that componentize-py carries, in an archive inside its own library."""

import io
import pathlib
import sys
import tarfile

import zstandard

FRAME = b"\x28\xb5\x2f\xfd"


def archives(data):
    """Everything compressed in the library that is a tar archive."""
    at = data.find(FRAME)
    while at >= 0:
        try:
            unpacked = zstandard.ZstdDecompressor().decompressobj().decompress(data[at:])
            yield tarfile.open(fileobj=io.BytesIO(unpacked))
        except (zstandard.ZstdError, tarfile.TarError):
            pass
        at = data.find(FRAME, at + 1)


def main(tools, folder):
    [library] = pathlib.Path(tools).glob("lib/*/site-packages/componentize_py/componentize_py.abi3.so")
    for archive in archives(library.read_bytes()):
        if "argparse.py" in archive.getnames():
            return archive.extractall(folder)
    sys.exit(f"{library} holds no standard library")


main(*sys.argv[1:])
