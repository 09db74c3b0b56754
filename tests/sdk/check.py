#!/usr/bin/env python3
"""Programs of the Resonate SDKs on `everstep serve`, or on the server at RESONATE_URL, alone and beside `everstep worker`:
check.py EVERSTEP GUEST FOLDER-WITH-THE-PROGRAMS-IN-TYPESCRIPT FOLDER-WITH-THE-PROGRAMS-IN-RUST"""

import os
import pathlib
import sys

import alone
import beside
from ground import Ground, Language


def main():
    everstep, guest, sdk, rust = (pathlib.Path(argument).resolve() for argument in sys.argv[1:])
    node, programs = ["node", sdk / "worker.mjs"], rust / "everstep-sdk-rust-worker"
    languages = [
        Language("typescript", node, ["node", sdk / "client.mjs"], "", lambda *arguments: list(arguments)),
        # The only argument, as it is.
        Language("rust", [programs], [rust / "everstep-sdk-rust-client"], "rust_", lambda *one: one[0] if one else None),
    ]
    # That of TypeScript is the only one for servers of dialect C.
    dialects = {"permissive": languages, "a": languages, "c": languages[:1]}
    for dialect, spoken in {"RESONATE_URL": languages}.items() if "RESONATE_URL" in os.environ else dialects.items():
        names = " and ".join(language.name for language in spoken)
        if spoken == languages:
            with Ground(everstep, dialect) as ground:
                alone.check(ground, spoken)
            print(f"sdk: the programs in {names} end as they should ({dialect})", flush=True)
        with Ground(everstep, dialect) as ground:
            beside.check(ground, guest, spoken)
        print(f"sdk: the programs in {names} end as they should beside Everstep ({dialect})", flush=True)


main()
