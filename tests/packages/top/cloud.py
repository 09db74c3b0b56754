"""Packages of cloud services, of what they stand on, and for data: see `web.py`."""

#: boto3
import boto3
client = boto3.client("s3", region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b")
print(client.generate_presigned_url("get_object", Params={"Bucket": "box", "Key": "k"}).partition("?")[0])
#> https://box.s3.amazonaws.com/k

#: botocore
import botocore.session
print("list_buckets" in dir(botocore.session.get_session().create_client("s3", region_name="eu-west-1")))
#> True

#: s3transfer
from s3transfer.manager import TransferConfig
print(TransferConfig(max_request_concurrency=2).max_request_concurrency)
#> 2

#: jmespath
import jmespath
print(jmespath.search("people[?age > `20`].name", {"people": [{"name": "a", "age": 30}, {"name": "b", "age": 10}]}))
#> ['a']

#: python-dateutil
from dateutil import parser, rrule
print(parser.parse("3 Jan 2026 10:00"), [day.day for day in rrule.rrule(rrule.WEEKLY, count=3, dtstart=parser.parse("2026-01-01"))])
#> 2026-01-03 10:00:00 [1, 8, 15]

#: six
import six
print(six.ensure_str(b"a"), list(six.iteritems({"k": 1})))
#> a [('k', 1)]

#: cachetools
from cachetools import LRUCache
cache = LRUCache(2)
cache.update(a=1)
cache.update(b=2)
cache.update(c=3)
print(sorted(cache))
#> ['b', 'c']

#: pyasn1
from pyasn1.codec.der import decoder, encoder
from pyasn1.type import univ
print(encoder.encode(univ.Integer(5)).hex(), int(decoder.decode(bytes.fromhex("020105"))[0]))
#> 020105 5

#: pyasn1-modules
from pyasn1_modules import rfc2459
print(rfc2459.id_at_commonName)
#> 2.5.4.3

#: rsa
import rsa
public, private = rsa.newkeys(256)
print(rsa.decrypt(rsa.encrypt(b"hi", public), private))
#> b'hi'

#: protobuf
from google.protobuf import struct_pb2
made = struct_pb2.Struct()
made.update({"a": 1})
print(struct_pb2.Struct.FromString(made.SerializeToString())["a"])
#> 1.0

#: googleapis-common-protos
from google.rpc import status_pb2
print(status_pb2.Status(code=5, message="gone").message)
#> gone

#: isodate
import isodate
print(isodate.parse_duration("P1DT2H"), isodate.duration_isoformat(isodate.parse_duration("PT90S")))
#> 1 day, 2:00:00 PT1M30S

#: sqlalchemy
from sqlalchemy import create_engine, text
with create_engine("sqlite://").connect() as connection:
    print(connection.execute(text("select 40 + :two"), {"two": 2}).scalar())
#> 42

#: redis
import redis
try:
    redis.Redis("cache.example").ping()
except redis.ConnectionError as error:
    print(type(error).__name__)
#> ConnectionError

#: fsspec
import fsspec
with fsspec.open("memory://a.txt", "w") as file:
    file.write("kept")
print(fsspec.filesystem("memory").cat("/a.txt"))
#> b'kept'

#: networkx
import networkx
graph = networkx.Graph([(1, 2), (2, 3), (1, 4), (4, 5), (5, 3)])
print(networkx.shortest_path(graph, 1, 3), networkx.is_connected(graph))
#> [1, 2, 3] True

#: sympy
import sympy
x = sympy.symbols("x")
print(sympy.integrate(x * sympy.sin(x), x), sympy.solve(x**2 - 4, x))
#> -x*cos(x) + sin(x) [-2, 2]

#: mpmath
import mpmath
mpmath.mp.dps = 30
print(mpmath.pi)
#> 3.14159265358979323846264338328

#: joblib
from joblib import Parallel, delayed
print(Parallel(n_jobs=2, prefer="threads")(delayed(abs)(n) for n in (-1, -2)), Parallel(n_jobs=1)(delayed(abs)(n) for n in (-3,)))
#> [1, 2] [3]

#: openpyxl
import io, openpyxl
book, file = openpyxl.Workbook(), io.BytesIO()
book.active.append(["a", 1])
book.save(file)
print([cell.value for cell in openpyxl.load_workbook(file).active[1]])
#> ['a', 1]

#: et-xmlfile
import io
from et_xmlfile import xmlfile
out = io.BytesIO()
with xmlfile(out) as file, file.element("a"):
    file.write("x")
print(out.getvalue())
#> b'<a>x</a>'

#: pytz
import datetime, pytz
print(pytz.timezone("Europe/Berlin").localize(datetime.datetime(2026, 7, 1)).utcoffset())
#> 2:00:00

#: tzdata
import zoneinfo
print(len(zoneinfo.available_timezones()) > 500)
#> True

#: cloudpickle
import cloudpickle, pickle
print(pickle.loads(cloudpickle.dumps(lambda n: n + 1))(1))
#> 2
