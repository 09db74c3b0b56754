# Handles that append to one file, in any order, lose nothing, and see each other.
import os

with open("/out/log", "a") as a, open("/out/log", "a") as b:
    a.write("one\n")
    a.flush()
    b.write("two\n")
    b.flush()
    a.write("three\n")
print(open("/out/log").read().split())
#> ['one', 'two', 'three']

a, b = open("/out/log", "a"), open("/out/log", "ab", buffering=0)
a.write("four\n")
b.write(b"five\n")
a.close()
b.write(b"six\n")
b.close()
print(open("/out/log").read().split())
#> ['one', 'two', 'three', 'five', 'four', 'six']

# One that reads sees what the other has written.
with open("/out/log", "a+") as writer, open("/out/log") as reader:
    writer.write("seven\n")
    writer.flush()
    print(reader.read().split()[-1])
    writer.seek(0)
    print(writer.readline().strip(), writer.tell())
#> seven
#> one 4

# One that writes in the middle does not undo what was added at the end.
with open("/out/log", "r+") as middle, open("/out/log", "a") as end:
    end.write("eight\n")
    end.flush()
    middle.write("ONE")
    middle.flush()
    end.write("nine\n")
print(open("/out/log").read().split())
#> ['ONE', 'two', 'three', 'five', 'four', 'six', 'seven', 'eight', 'nine']

# What is truncated, removed or renamed by one is so for all.
with open("/out/log", "a") as one:
    one.write("ten\n")
    one.flush()
    open("/out/log", "w").close()
    one.write("eleven\n")
print(open("/out/log").read().split())
#> ['eleven']
with open("/out/log", "a") as one:
    os.rename("/out/log", "/out/moved")
    one.write("twelve\n")
print(os.listdir("/out"), open("/out/moved").read().split())
#> ['moved'] ['eleven', 'twelve']
with open("/out/moved", "a") as one, open("/out/moved", "a") as other:
    os.remove("/out/moved")
    one.write("thirteen\n")
    other.write("fourteen\n")
print(os.listdir("/out"))
#> []

numbers = [os.open("/out/raw", os.O_WRONLY | os.O_CREAT | os.O_APPEND) for _ in range(3)]
for turn in range(2):
    for number in numbers:
        os.write(number, b"%d " % turn)
for number in numbers:
    os.close(number)
print(open("/out/raw").read())
#> 0 0 0 1 1 1 
try:
    os.open("/out/raw", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
except FileExistsError as error:
    print(error)
#> [Errno 20] File exists: '/out/raw'
