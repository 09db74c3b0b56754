#!/bin/sh
# Links for glibc 2.28, whatever this machine has: as `-C linker=` of the program in a wheel. scripts/wheel.sh puts zig there.
exec target/wheel/tools/bin/python -m ziglang cc -target x86_64-linux-gnu.2.28 "$@"
