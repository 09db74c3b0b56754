def tried(code):
    try:
        exec(code, {})
        return "done"
    except Exception as error:
        return type(error).__name__

for code in (
    "import subprocess; subprocess.run(['ls'])",
    "import os; os.fork()",
    "import os; os.system('ls')",
    "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
    "import socket; socket.create_connection(('127.0.0.1', 80)).recv(1)",
    "import urllib.request; urllib.request.urlopen('http://127.0.0.1/')",
    "import multiprocessing; multiprocessing.Process(target=print).start()",
    "import tempfile; tempfile.NamedTemporaryFile()",
    "import ctypes; ctypes.CDLL(None)",
):
    print(code.split(";")[0].removeprefix("import "), tried(code))
import threading
with threading.Lock():
    print(threading.current_thread().name, threading.active_count())
#> subprocess OSError
#> os AttributeError
#> os AttributeError
#> socket PermissionError
#> socket PermissionError
#> urllib.request URLError
#> multiprocessing Unavailable
#> tempfile FileNotFoundError
#> ctypes Unavailable
#> MainThread 1
