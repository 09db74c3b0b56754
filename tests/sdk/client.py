"""A program that calls functions of Everstep by the Resonate SDK for Python: client.py URL NAME ACTION ARGUMENT... It prints one JSON value:
what it gets, or {"error": MESSAGE}. NAME is the id of a call, or of a promise."""

import asyncio
import datetime
import json
import sys

from resonate.resonate import Resonate
from resonate.types import Value


async def call(resonate, name, timeout, function, arguments):
    """Calls a function; a timeout in milliseconds, and its arguments as JSON."""
    options = {"target": "everstep", "timeout": datetime.timedelta(milliseconds=int(timeout))}
    return await resonate.options(**options).rpc(name, function, *json.loads(arguments)).result()


async def wait(resonate, name):
    handle = await resonate.get(name)
    print("waiting", file=sys.stderr, flush=True)
    return await handle.result()


async def resolve(resonate, name, value):
    return (await resonate.promises.resolve(name, Value(headers=None, data=json.loads(value)))).state


async def main(url, name, action, *arguments):
    resonate = Resonate(url=url, group="clients")
    try:
        outcome = await {"call": call, "wait": wait, "resolve": resolve}[action](resonate, name, *arguments)
    except Exception as error:
        outcome = {"error": str(error)}
    print(json.dumps(outcome))
    await resonate.stop()


asyncio.run(main(*sys.argv[1:]))
