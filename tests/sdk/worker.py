"""A worker of the Resonate SDK for Python: worker.py URL GROUP NOTES [WITNESS]. Each local step writes a line into the file NOTES; WITNESS is
where the functions of Everstep leave theirs."""

import asyncio
import datetime
import pathlib
import sys

from resonate.context import Context
from resonate.error import ApplicationError
from resonate.resonate import Resonate
from resonate.retry import Never

URL, GROUP, NOTES, *WITNESS = sys.argv[1:]


def note(_ctx, text, value=None):
    with open(NOTES, "a") as notes:
        notes.write(f"{text}\n")
    return value


async def python_order(ctx: Context, n: int):
    more = await ctx.run(note, f"python_more {n}", n + 1)
    await ctx.sleep(datetime.timedelta(milliseconds=100))
    twice = await ctx.options(target="other").rpc("double", more)
    await ctx.options(target="python").detached("python_aside", n)
    return [more, twice, await ctx.promise()]


async def python_aside(ctx: Context, n: int):
    await ctx.run(note, f"python_aside {n}")


async def python_tick(ctx: Context):
    await ctx.run(note, "python_tick")


async def wait(_ctx):
    """The first one that runs it stays in it for ever."""
    notes = pathlib.Path(NOTES)
    seen = notes.exists() and "python_wait" in notes.read_text().splitlines()
    note(_ctx, "python_wait")
    if not seen:
        await asyncio.Event().wait()


async def python_stuck(ctx: Context):
    await ctx.run(wait)
    return "free"


# What follows is called by functions of Everstep, or calls them in the group everstep.


async def python_charge(ctx: Context, card: str, cents: int):
    return await ctx.run(note, f"python_charge {card}", {"card": card, "cents": cents})


async def python_silent(ctx: Context):
    pass


async def python_decline(ctx: Context, why: str):
    await ctx.run(note, "python_decline")
    raise ApplicationError(why)


async def python_asks_everstep(ctx: Context, n: int, text: str):
    everstep = ctx.options(target="everstep")
    nothing = await everstep.rpc("nothing")
    tripled = await everstep.rpc("triple", n)
    noted = await everstep.rpc("noted", text, WITNESS[0])
    await everstep.detached("noted", f"{text}-aside", WITNESS[0])
    return [nothing, tripled, noted]


async def python_pardons_everstep(ctx: Context, why: str):
    try:
        return await ctx.options(target="everstep").rpc("refuse", why)
    except ApplicationError as error:
        return [True, str(error)]


async def main():
    ttl = datetime.timedelta(seconds=2)
    resonate = Resonate(url=URL, group=GROUP, ttl=ttl, retry_policy=Never())
    for name, function in list(globals().items()):
        if name.startswith("python_"):
            resonate.register(function)
    await asyncio.Event().wait()


asyncio.run(main())
