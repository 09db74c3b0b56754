#!/usr/bin/env python3
"""Programs of the Resonate SDKs on `everstep serve`, or on the server at RESONATE_URL, alone and beside `everstep worker`:
check.py EVERSTEP GUEST FOLDER-WITH-THE-PROGRAMS-IN-TYPESCRIPT FOLDER-WITH-THE-PROGRAMS-IN-RUST [PYTHON-THAT-HAS-THE-SDK]"""

import os
import pathlib
import sys

import alone
import beside
from ground import Ground, Language


def main():
    everstep, guest, sdk, rust, *python = (pathlib.Path(argument).absolute() for argument in sys.argv[1:])
    here = pathlib.Path(__file__).parent
    listed = lambda *arguments: list(arguments)
    typescript = Language("typescript", ["node", sdk / "worker.mjs"], ["node", sdk / "client.mjs"], "", listed)
    # The only argument, as it is.
    one = lambda *one: one[0] if one else None
    programs = [[rust / f"everstep-sdk-rust-{program}"] for program in ("worker", "client")]
    of_rust = Language("rust", *programs, "rust_", one)
    of_python = [
        Language("python", [program, here / "worker.py"], [program, here / "client.py"], "python_", listed)
        for program in python
    ]
    # That for Rust is for the servers before dialect C, that for Python for those since.
    older, newer = [typescript, of_rust], [typescript, *of_python]
    dialects = {"permissive": older, "a": older, "c": newer}
    for dialect, spoken in {"RESONATE_URL": older}.items() if "RESONATE_URL" in os.environ else dialects.items():
        names = " and ".join(language.name for language in spoken)
        if len(spoken) > 1:
            with Ground(everstep, dialect) as ground:
                alone.check(ground, spoken)
            print(f"sdk: the programs in {names} end as they should ({dialect})", flush=True)
        with Ground(everstep, dialect) as ground:
            beside.check(ground, guest, spoken)
        print(f"sdk: the programs in {names} end as they should beside Everstep ({dialect})", flush=True)


main()
