"""Packages for programs, texts and tools: see `web.py`."""

#: packaging
from packaging.specifiers import SpecifierSet
from packaging.version import Version
print(Version("1.10") > Version("1.9"), Version("2.1") in SpecifierSet(">=2,<3"))
#> True True

#: setuptools
import setuptools
print(callable(setuptools.setup), setuptools.find_packages("/nowhere"))
#> True []

#: wheel
import wheel
print(wheel.__version__ > "0")
#> True

#: pip
import pip
print(pip.__version__ > "2")
#> True

#: pyyaml
import yaml
print(yaml.safe_load("a: [1, {b: c}]"), yaml.safe_dump({"x": [1]}).strip())
#> {'a': [1, {'b': 'c'}]} x:
#> - 1

#: click
import click
from click.testing import CliRunner
@click.command()
@click.option("--count", default=1)
@click.argument("name")
def hello(count, name):
    click.echo(f"hello {name}" * count)
print(CliRunner().invoke(hello, ["--count", "2", "Ada"]).output.strip())
#> hello Adahello Ada

#: rich
from rich.console import Console
from rich.table import Table
table = Table("name", "n")
table.add_row("a", "1")
Console(width=20).print(table)
#> ┏━━━━━━┳━━━┓
#> ┃ name ┃ n ┃
#> ┡━━━━━━╇━━━┩
#> │ a    │ 1 │
#> └──────┴───┘

#: pygments
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer
print(highlight("x = 1", PythonLexer(), HtmlFormatter(nowrap=True)).strip())
#> <span class="n">x</span> <span class="o">=</span> <span class="mi">1</span>

#: attrs
import attrs
@attrs.define
class Point:
    x: int
    y: int = 0
print(Point(1), attrs.asdict(Point(1, 2)))
#> Point(x=1, y=0) {'x': 1, 'y': 2}

#: pytest
import pathlib, tempfile
import pytest
with tempfile.TemporaryDirectory() as folder:
    pathlib.Path(folder, "test_it.py").write_text("import pytest\n@pytest.mark.parametrize('n', [1, 2])\ndef test_n(n):\n    assert n > 0\n")
    print(int(pytest.main(["-q", "-p", "no:cacheprovider", folder])))
#> ..                                                                       [100%]
#> 2 passed
#> 0

#: pluggy
import pluggy
spec, impl = pluggy.HookspecMarker("me"), pluggy.HookimplMarker("me")
class Spec:
    @spec
    def add(self, n): "adds"
class Plugin:
    @impl
    def add(self, n): return n + 1
manager = pluggy.PluginManager("me")
manager.add_hookspecs(Spec)
manager.register(Plugin())
print(manager.hook.add(n=1))
#> [2]

#: iniconfig
import iniconfig
print(iniconfig.IniConfig("x.ini", data="[a]\nb = 1\n")["a"]["b"])
#> 1

#: tqdm
import io
from tqdm import tqdm
out = io.StringIO()
print(sum(tqdm(range(5), file=out)), "5/5" in out.getvalue(), list(tqdm([1], disable=True)))
#> 10 True [1]

#: filelock
import pathlib, tempfile
from filelock import FileLock, SoftFileLock
with tempfile.TemporaryDirectory() as folder:
    with SoftFileLock(pathlib.Path(folder, "soft.lock")):
        print("held softly")
    with FileLock(pathlib.Path(folder, "hard.lock")):
        print("held")
#> held softly
#> held

#: platformdirs
import platformdirs
print(platformdirs.PlatformDirs("app", ensure_exists=False).user_data_path.name)
#> app

#: virtualenv
import virtualenv
print(virtualenv.__version__ > "20")
#> True

#: distlib
from distlib.version import NormalizedVersion
print(NormalizedVersion("1.2") < NormalizedVersion("1.10"))
#> True

#: tabulate
from tabulate import tabulate
print(tabulate([["a", 1]], ["name", "n"], "github"))
#> | name   |   n |
#> |--------|-----|
#> | a      |   1 |

#: tomli
import tomli
print(tomli.loads("a = [1, 2]"))
#> {'a': [1, 2]}

#: tomlkit
import tomlkit
made = tomlkit.parse("a = 1 # one\n")
made["b"] = [2]
print(tomlkit.dumps(made).strip())
#> a = 1 # one
#> b = [2]

#: typing-extensions
from typing_extensions import TypedDict, get_type_hints
class Film(TypedDict):
    name: str
print(get_type_hints(Film))
#> {'name': <class 'str'>}

#: colorama
import colorama
print(repr(colorama.Fore.RED))
#> '\x1b[31m'

#: zipp
import io, zipfile, zipp
with zipfile.ZipFile(io.BytesIO(), "w") as archive:
    archive.writestr("a/b.txt", "text")
    print(zipp.Path(archive, "a/").joinpath("b.txt").read_text())
#> text

#: importlib-metadata
import importlib_metadata
print(importlib_metadata.version("importlib-metadata") > "1")
#> True

#: pycparser
from pycparser import c_parser
print(c_parser.CParser().parse("int f(int a) { return a; }").ext[0].decl.name)
#> f

#: pyparsing
import pyparsing as pp
print((pp.Word(pp.nums) + "+" + pp.Word(pp.nums)).parse_string("12 + 30").as_list())
#> ['12', '+', '30']

#: markdown-it-py
from markdown_it import MarkdownIt
print(MarkdownIt().render("# a *b*").strip())
#> <h1>a <em>b</em></h1>

#: mdurl
import mdurl
print(mdurl.encode("a b"))
#> a%20b

#: decorator
from decorator import decorator
@decorator
def doubled(function, *args):
    return 2 * function(*args)
@doubled
def one(n): return n
print(one(4))
#> 8

#: tenacity
import tenacity
tries = []
@tenacity.retry(stop=tenacity.stop_after_attempt(3), wait=tenacity.wait_fixed(0.01))
def shaky():
    tries.append(1)
    if len(tries) < 3:
        raise ValueError
    return len(tries)
print(shaky())
#> 3

#: more-itertools
from more_itertools import chunked
print(list(chunked(range(5), 2)))
#> [[0, 1], [2, 3], [4]]

#: wcwidth
import wcwidth
print(wcwidth.wcswidth("コンニチハ"))
#> 10

#: prompt-toolkit
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput
from prompt_toolkit import PromptSession
with create_pipe_input() as typed, create_app_session(input=typed, output=DummyOutput()):
    typed.send_text("hello\n")
    print(PromptSession().prompt("> "))
#> hello

#: pathspec
import pathspec
print(list(pathspec.PathSpec.from_lines("gitignore", ["*.py", "!a.py"]).match_files(["a.py", "b.py", "c.txt"])))
#> ['b.py']

#: docutils
from docutils.core import publish_parts
print(publish_parts("*a*", writer="html5")["fragment"].strip())
#> <p><em>a</em></p>

#: python-dotenv
import io
from dotenv import dotenv_values
print(dict(dotenv_values(stream=io.StringIO("A=1\nB='two'\n"))))
#> {'A': '1', 'B': 'two'}

#: coverage
import coverage
measured = coverage.Coverage(data_file=None)
measured.start()
measured.stop()
print(measured.get_data().measured_files() is not None)
#> True

#: wrapt
import wrapt
@wrapt.decorator
def shown(wrapped, instance, args, kwargs):
    return f"<{wrapped(*args)}>"
@shown
def name(n): return n
print(name("a"))
#> <a>

#: deprecated
import warnings
from deprecated import deprecated
@deprecated(reason="use other")
def old(): return 1
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    print(old(), "use other" in str(told[0].message))
#> 1 True

#: defusedxml
from defusedxml import EntitiesForbidden, ElementTree
try:
    ElementTree.fromstring("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>")
except EntitiesForbidden:
    print("refused", ElementTree.fromstring("<a>x</a>").text)
#> refused x

#: sortedcontainers
from sortedcontainers import SortedDict
print(list(SortedDict({"b": 1, "a": 2})))
#> ['a', 'b']

#: jsonschema
import jsonschema
jsonschema.validate({"n": 1}, {"properties": {"n": {"type": "integer"}}})
print("fits")
#> fits

#: pydantic
import pydantic
class Person(pydantic.BaseModel):
    age: int
print(Person(age="7").age)
#> 7

#: annotated-types
import annotated_types
print(annotated_types.Gt(3).gt)
#> 3

#: typer
import typer
from typer.testing import CliRunner
app = typer.Typer()
@app.command()
def hello(name: str):
    print(f"hello {name}")
print(CliRunner().invoke(app, ["Ada"]).output.strip())
#> hello Ada

#: shellingham
import shellingham
try:
    print(shellingham.detect_shell())
except shellingham.ShellDetectionFailure:
    print("there is no shell")
#> there is no shell
