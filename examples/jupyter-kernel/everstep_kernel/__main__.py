"""`python -m everstep_kernel install` tells Jupyter of the kernel; Jupyter starts it with `-f FILE`."""

import argparse
import json
import sys
import tempfile
from pathlib import Path

SPEC = {
    "argv": [sys.executable, "-m", "everstep_kernel", "-f", "{connection_file}"],
    "display_name": "Python (Everstep)",
    "language": "python",
    # A request on the control channel, not a signal.
    "interrupt_mode": "message",
}


def install(arguments):
    from jupyter_client.kernelspec import KernelSpecManager

    parser = argparse.ArgumentParser(prog="python -m everstep_kernel install", description="Tell Jupyter of the kernel `everstep`.")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--user", action="store_true", help="for this user (the default)")
    where.add_argument("--sys-prefix", action="store_true", help="for the Python environment that runs this")
    where.add_argument("--prefix", help="below another folder")
    options = parser.parse_args(arguments)
    prefix = sys.prefix if options.sys_prefix else options.prefix
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "kernel.json").write_text(json.dumps(SPEC, indent=1) + "\n")
        Path(folder).chmod(0o755)
        KernelSpecManager().install_kernel_spec(folder, "everstep", user=prefix is None, prefix=prefix)


def main():
    if sys.argv[1:2] == ["install"]:
        return install(sys.argv[2:])
    from ipykernel.kernelapp import IPKernelApp

    from .kernel import EverstepKernel

    return IPKernelApp.launch_instance(kernel_class=EverstepKernel)


if __name__ == "__main__":
    main()
