"""What to use in the place of well-known packages that are native code and have nothing else."""

_SCIENCE = "the component has no numerical libraries: use statistics, math, array and sqlite3, or have a capability of the host compute it"
_OTHER = "`everstep python science` makes another component, which has it: `--python science`"
_DRIVER = "the component opens no sockets: use a capability of the host, an HTTP interface of the database (everstep.fetch), or sqlite3"
_JSON = "use json of the standard library"
_CLASSES = "use dataclasses, or attrs"

_INSTEAD = {
    "aiohttp": "use everstep.fetch",
    "asyncpg": _DRIVER,
    "bcrypt": "use hashlib.pbkdf2_hmac",
    "cryptography": "use hashlib, hmac and secrets, or have a capability of the host do it",
    "duckdb": "use sqlite3",
    "grpcio": "use everstep.fetch",
    "lxml": f"use xml.etree.ElementTree, with defusedxml for what others wrote, or html5lib; {_OTHER}",
    "matplotlib": _OTHER,
    "msgspec": _CLASSES,
    "mysqlclient": _DRIVER,
    "numpy": _OTHER,
    "orjson": _JSON,
    "pandas": _OTHER,
    "pillow": f"pypng reads and writes PNG; {_OTHER}",
    "polars": _SCIENCE,
    "psycopg-binary": _DRIVER,
    "psycopg2": _DRIVER,
    "psycopg2-binary": _DRIVER,
    "pyarrow": _SCIENCE,
    "pydantic-core": _CLASSES,
    "python-rapidjson": _JSON,
    "scikit-learn": _OTHER,
    "scipy": _OTHER,
    "torch": _SCIENCE,
    "ujson": _JSON,
}


def alternative(name):
    """A remedy, for a name in its normal form; none where there is nothing to say."""
    return _INSTEAD.get(name)
