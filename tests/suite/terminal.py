"""Runs a program on a terminal of its own: what comes on standard input is typed, what stands on the terminal goes to standard output. The
end of standard input closes the terminal. The last line says how the program has ended."""

import fcntl
import os
import pty
import select
import struct
import sys
import termios

child, terminal = pty.fork()
if child == 0:
    os.execv(sys.argv[1], sys.argv[1:])
# So wide that nothing is wrapped.
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 20000, 0, 0))
while True:
    ready, _, _ = select.select([0, terminal], [], [])
    if terminal in ready:
        try:
            shown = os.read(terminal, 1 << 16)
        except OSError:
            # The program is gone.
            break
        os.write(1, shown)
    elif typed := os.read(0, 1 << 10):
        os.write(terminal, typed)
    else:
        os.close(terminal)
        break
os.write(1, f"\nended {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}.\n".encode())
