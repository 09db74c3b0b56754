import gc, os, weakref

def tried(what, *args):
    try:
        return what(*args)
    except OSError as error:
        return type(error).__name__

class Held:
    pass

def fails():
    held = Held()
    print(os.path.exists("/out/none"), tried(os.listdir, "/out/none"), tried(open, "/out/none"), tried(open, "/out/none/x/", "w"))
    return weakref.ref(held)

gc.disable()
print(fails()() is None)
gc.enable()

removed, moved, replaced = (open(f"/out/{name}", "w") for name in ("removed", "moved", "replaced"))
for file in (removed, moved, replaced):
    file.write(file.name)
os.remove("/out/removed")
os.rename("/out/moved", "/out/elsewhere")
with open("/out/other", "w") as file:
    file.write("other")
os.replace("/out/other", "/out/replaced")
for file in (removed, moved, replaced):
    file.close()
print(sorted(os.listdir("/out")), open("/out/elsewhere").read(), open("/out/replaced").read())

class Removes:
    def __init__(self, folder):
        self.folder, self.itself = folder, self

    def __del__(self):
        os.rmdir(self.folder)

os.makedirs("/out/folders/kept")
folders = [f"/out/folders/{n}" for n in range(40)]
for folder in folders:
    os.mkdir(folder)
threshold = gc.get_threshold()
for number, folder in enumerate(folders):
    gc.collect()
    Removes(folder)
    # A collection comes after so many new values, which is while the folders are looked at.
    gc.set_threshold(3 * number + 1)
    os.listdir("/out/folders"), tried(os.rmdir, "/out/folders")
    gc.set_threshold(*threshold)
gc.collect()
print(os.listdir("/out/folders"))
#> False FileNotFoundError FileNotFoundError FileNotFoundError
#> True
#> ['elsewhere', 'replaced'] /out/moved other
#> ['kept']
