# Keeps objects in a file between two openings.
import os
import pickle
import tempfile

class Store(dict):
    def __init__(self, path):
        self.path = path
        if os.path.exists(path):
            with open(path, "rb") as file:
                super().__init__(pickle.load(file))

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            with open(self.path + ".new", "wb") as file:
                pickle.dump(dict(self), file, protocol=5)
            os.replace(self.path + ".new", self.path)

path = os.path.join(tempfile.mkdtemp(), "store")
with Store(path) as store:
    store["numbers"] = {1, 2, 3}
    store["nested"] = {"a": [1, (2, 3)], "b": b"\0"}
try:
    with Store(path) as store:
        store["lost"] = True
        raise RuntimeError("crash")
except RuntimeError as error:
    print(error)
with Store(path) as store:
    print(store, "lost" in store)
    del store["numbers"]
print(Store(path).keys())
