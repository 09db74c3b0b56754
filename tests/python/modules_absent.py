# Every module of the standard library is imported, but for those that programs try to import to do something else.
import concurrent.futures, getpass, importlib, importlib.util, multiprocessing, os, pathlib, shutil, sys

refused = []
for name in sorted(sys.stdlib_module_names):
    try:
        importlib.import_module(name)
        assert name == "__main__" or importlib.util.find_spec(name), name
    except ImportError:
        refused.append(name)
print(*(name for name in refused if not name.startswith("_")))
print(*(name for name in refused if name.startswith("_")))


def tried(code):
    try:
        print(code, repr(eval(code, {name: importlib.import_module(name) for name in NAMES})))
    except Exception as error:
        print(code, type(error).__module__, type(error).__name__, isinstance(error, OSError), isinstance(error, NotImplementedError), error)


NAMES = "concurrent.futures ctypes ctypes.util curses fcntl grp mmap multiprocessing pty pwd readline resource syslog termios tty".split()
NAMES += ["multiprocessing.shared_memory", "os"]
print(os.getuid() == os.geteuid() and os.getgid() == os.getegid(), importlib.import_module("ctypes").sizeof(importlib.import_module("ctypes").c_double))
for code in (
    "ctypes.CDLL(None)",
    "ctypes.c_int(1)",
    "ctypes.pythonapi.Py_IsInitialized()",
    "curses.initscr()",
    "fcntl.flock(1, fcntl.LOCK_EX | fcntl.LOCK_NB)",
    "grp.getgrgid(0)",
    "mmap.mmap(-1, mmap.PAGESIZE)",
    "multiprocessing.Queue()",
    "multiprocessing.get_context('spawn').Lock()",
    "multiprocessing.Process(target=print).start()",
    "pty.openpty()",
    "pwd.getpwnam('root')",
    "pwd.getpwall()",
    "readline.parse_and_bind('tab: complete')",
    "resource.getrusage(resource.RUSAGE_SELF)",
    "syslog.syslog('hello')",
    "termios.tcgetattr(0)",
    "tty.setraw(0)",
    "multiprocessing.cpu_count()",
):
    tried(code)
for attempt in (concurrent.futures.ProcessPoolExecutor, getpass.getuser, lambda: shutil.chown("/x", "root"), lambda: fcntl.nothing):
    try:
        import fcntl
        attempt()
    except Exception as error:
        print(type(error).__name__, error)
print(os.path.expanduser("~/x"), os.path.expanduser("~root/x"), os.path.expanduser(b"~"))
os.environ["HOME"], os.environ["USER"] = "/home", "eve"
print(os.path.expanduser("~/x"), pathlib.Path("~/y").expanduser(), getpass.getuser())

# What is declared and not used.
import ctypes, ctypes.util, ctypes.wintypes

class Point(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char * 8), ("next", ctypes.POINTER(ctypes.c_int)), ("call", ctypes.CFUNCTYPE(ctypes.c_int))]

print(ctypes.util.find_library("c"), hasattr(ctypes, "WinDLL"))
# A program of commands, which asks for completion.
import cmd

class Shell(cmd.Cmd):
    def do_leave(self, line):
        return print("left") is None

shell = Shell()
shell.cmdqueue = ["leave"]
shell.cmdloop()
#> antigravity ensurepip idlelib msvcrt nt pydoc_data this tkinter turtle turtledemo venv winreg winsound
#> _android_support _apple_support _ctypes _curses _curses_panel _dbm _gdbm _hashlib _interpchannels _interpqueues _interpreters _ios_support _multiprocessing _overlapped _posixshmem _posixsubprocess _remote_debugging _scproxy _ssl _tkinter _uuid _winapi _wmi
#> True 8
#> ctypes.CDLL(None) everstep._absent Unavailable True True [Errno 52] ctypes.CDLL does not work here: no code but Python's runs in a component; a capability of the host can do it
#> ctypes.c_int(1) everstep._absent Unavailable True True [Errno 52] ctypes.c_int does not work here: no code but Python's runs in a component; a capability of the host can do it
#> ctypes.pythonapi.Py_IsInitialized() everstep._absent Unavailable True True [Errno 52] ctypes.pythonapi.Py_IsInitialized does not work here: no code but Python's runs in a component; a capability of the host can do it
#> curses.initscr() curses error False False (59, "curses.initscr does not work here: a terminal is the host's; print and input are what a program has")
#> fcntl.flock(1, fcntl.LOCK_EX | fcntl.LOCK_NB) everstep._absent Unavailable True True [Errno 52] fcntl.flock does not work here: files have no locks and no flags here; who writes last wins
#> grp.getgrgid(0) builtins KeyError False False 'getgrgid(): there is no 0: nothing here has users or groups'
#> mmap.mmap(-1, mmap.PAGESIZE) everstep._absent Unavailable True True [Errno 52] mmap.mmap does not work here: files are read and written, and lie in no memory; read the file
#> multiprocessing.Queue() everstep._absent Unavailable True True [Errno 52] multiprocessing.Queue does not work here: there are no processes here; threading, queue and concurrent.futures.ThreadPoolExecutor are
#> multiprocessing.get_context('spawn').Lock() everstep._absent Unavailable True True [Errno 52] multiprocessing.Lock does not work here: there are no processes here; threading, queue and concurrent.futures.ThreadPoolExecutor are
#> multiprocessing.Process(target=print).start() everstep._absent Unavailable True True [Errno 52] multiprocessing.Process does not work here: there are no processes here; threading, queue and concurrent.futures.ThreadPoolExecutor are
#> pty.openpty() everstep._absent Unavailable True True [Errno 52] pty.openpty does not work here: a terminal is the host's; print and input are what a program has
#> pwd.getpwnam('root') builtins KeyError False False "getpwnam(): there is no 'root': nothing here has users or groups"
#> pwd.getpwall() []
#> readline.parse_and_bind('tab: complete') None
#> resource.getrusage(resource.RUSAGE_SELF) everstep._absent Unavailable True True [Errno 52] resource.getrusage does not work here: the limits of a program are those of its policy, and its use is in what the host reports
#> syslog.syslog('hello') everstep._absent Unavailable True True [Errno 52] syslog.syslog does not work here: there is no log of the system; use logging or print
#> termios.tcgetattr(0) termios error False False (59, "termios.tcgetattr does not work here: a terminal is the host's; print and input are what a program has")
#> tty.setraw(0) termios error False False (59, "tty.setraw does not work here: a terminal is the host's; print and input are what a program has")
#> multiprocessing.cpu_count() 1
#> NotImplementedError ProcessPoolExecutor does not work here: there are no processes here; threading, queue and concurrent.futures.ThreadPoolExecutor are
#> OSError No username set in the environment
#> LookupError no such user: 'root'
#> AttributeError module 'fcntl' has no attribute 'nothing'
#> ~/x ~root/x b'~'
#> /home/x /home/y eve
#> None False
#> left
