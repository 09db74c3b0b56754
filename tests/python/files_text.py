import csv, io, json

with open("/out/a.txt", "w", encoding="utf-8") as file:
    print("grüße", file=file)
    file.writelines(["two\n", "three\n"])
with open("/out/a.txt", "a") as file:
    file.write("four")
with open("/out/a.txt") as file:
    print(next(file).strip(), [line.rstrip("\n") for line in file], file.name, file.closed)
print(open("/out/a.txt", newline="").read().count("\n"), file.closed)
with open("/data/lines.txt") as file:
    file.readline()
    print(file.tell() > 0, file.readline(), file.seek(0), file.read(3))
json.dump({"a": [1, None, "é"]}, open("/out/a.json", "w"))
print(json.load(open("/out/a.json")))
with open("/out/t.csv", "w", newline="") as file:
    csv.DictWriter(file, ["k", "v"]).writerow({"k": "a,b", "v": 1})
print(list(csv.reader(open("/out/t.csv"))))
try:
    open("/out/l1", "wb").write(b"\xff"), open("/out/l1").read()
except UnicodeDecodeError as error:
    print(error.reason)
#> grüße ['two', 'three', 'four'] /out/a.txt False
#> 3 True
#> True two
#>  0 one
#> {'a': [1, None, 'é']}
#> [['a,b', '1']]
#> invalid start byte
