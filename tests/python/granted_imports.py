import importlib, importlib.resources, inspect, os, pkgutil, sys, traceback

def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)

write("/out/lib/helper.py", "import json\n\ndef half(n):\n    return n / 2 if n else 1 / n  # never of 0\n")
write("/out/lib/tools/__init__.py", "from .deep import NAME\n")
write("/out/lib/tools/deep.py", "NAME = 'deep'\n")
write("/out/lib/tools/text.txt", "beside the code")
write("/out/lib/space/one.py", "from . import two\n")
write("/out/more/space/two.py", "NAME = 'two'\n")
try:
    import helper
except ModuleNotFoundError as error:
    print(error)
sys.path += ["/out/lib", "/out/more"]
import helper, tools
print(helper.half(3), helper.__file__, inspect.getsource(helper.half).split()[:2])
try:
    helper.half(0)
except ZeroDivisionError as error:
    print([line.strip() for line in traceback.format_exc().splitlines() if '#' in line], traceback.extract_tb(error.__traceback__)[-1].lineno)
print(tools.NAME, tools.__path__, tools.__spec__.name, tools.deep.__package__)
print(pkgutil.get_data("tools", "text.txt"), importlib.resources.files("tools").joinpath("text.txt").read_text())
import space.one
print(space.one.two.NAME, list(space.__path__))
write("/out/lib/helper.py", "WHICH = 'new'\n")
print(importlib.reload(helper).WHICH)
sys.path.append("/secret")
try:
    import numpy
except ModuleNotFoundError as error:
    print(error)
#> No module named 'helper'
#> 1.5 /out/lib/helper.py ['def', 'half(n):']
#> ['return n / 2 if n else 1 / n  # never of 0'] 4
#> deep ['/out/lib/tools'] tools tools
#> b'beside the code' beside the code
#> two ['/out/lib/space', '/out/more/space']
#> new
#> No module named 'numpy'
