# A small command line tool, called with several lists of arguments.
import argparse
import shlex

parser = argparse.ArgumentParser(prog="scale", exit_on_error=False)
parser.add_argument("files", nargs="*", default=["-"])
parser.add_argument("-n", "--count", type=int, default=1)
parser.add_argument("-v", "--verbose", action="count", default=0)
parser.add_argument("--mode", choices=["fast", "slow"], default="fast")
parser.add_argument("--set", action="append", metavar="KEY=VALUE")
for line in ("a b -vv", "--count 3 --mode=slow x", "--set a=1 --set b=2", "-n many", "--mode other"):
    try:
        print(sorted(vars(parser.parse_args(shlex.split(line))).items()))
    except argparse.ArgumentError as error:
        print("error:", error.argument_name)
