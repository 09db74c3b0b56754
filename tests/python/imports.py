import importlib, sys

for name in "argparse ast configparser difflib email.mime.text html.parser http.client inspect ipaddress logging.handlers pprint queue secrets shlex sqlite3 string.templatelib textwrap tomllib unicodedata unittest.mock urllib.parse uuid xml.etree.ElementTree zipfile concurrent.futures".split():
    importlib.import_module(name)
try:
    import numpy
except ModuleNotFoundError as error:
    print(error)
import email.message, html, logging, textwrap, tomllib, urllib.parse, xml.etree.ElementTree as ET
print(html.escape("<a>"), urllib.parse.quote("a b/é"), tomllib.loads("x = [1]"), ET.fromstring("<r><c k='v'/></r>")[0].attrib)
logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(message)s")
logging.warning("careful %d", 3)
print(textwrap.shorten("many words in a row", 12), sys.version_info >= (3, 14), __name__, sys.platform)
#> No module named 'numpy'
#> &lt;a&gt; a%20b/%C3%A9 {'x': [1]} {'k': 'v'}
#> WARNING careful 3
#> many [...] True __main__ wasi
