# Packs files into a tar in memory, with modes, and reads it back.
import io
import tarfile

buffer = io.BytesIO()
with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
    for name, content, mode in (("bin/run.sh", b"#!/bin/sh\necho hi\n", 0o755), ("etc/app.conf", b"debug = no\n", 0o600)):
        info = tarfile.TarInfo(name)
        info.size, info.mode, info.mtime = len(content), mode, 1_700_000_000
        archive.addfile(info, io.BytesIO(content))
    link = tarfile.TarInfo("latest")
    link.type, link.linkname = tarfile.SYMTYPE, "bin/run.sh"
    archive.addfile(link)
buffer.seek(0)
with tarfile.open(fileobj=buffer) as archive:
    for member in archive:
        kind = "link" if member.issym() else "file"
        print(f"{kind} {member.name:14} {member.size:>3} {member.mode:o} {member.mtime} {member.linkname}".rstrip())
    print(archive.extractfile("etc/app.conf").read())
