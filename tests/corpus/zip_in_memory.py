# Packs files into a zip in memory, lists it and reads it back.
import io
import zipfile

buffer = io.BytesIO()
with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
    for name, text in [("readme.txt", "hello " * 50), ("data/a.csv", "x,y\n1,2\n"), ("data/empty", "")]:
        archive.writestr(zipfile.ZipInfo(name, (2024, 1, 2, 3, 4, 6)), text, zipfile.ZIP_DEFLATED)
with zipfile.ZipFile(buffer) as archive:
    print("first bad file:", archive.testzip())
    for info in archive.infolist():
        print(info.filename, info.file_size, info.date_time, f"{info.CRC:08x}")
    print(archive.read("data/a.csv").decode().splitlines())
