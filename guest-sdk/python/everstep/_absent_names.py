"""The names of modules that are absent, as Linux has them: see `_absent`."""

import dataclasses


@dataclasses.dataclass
class Absent:
    """`why` ends the message of what is used. Of the names, `types` are refused when one is made, `refused` when they are called, `lookups` find
    nothing, `kinds` make types, `libraries` hold functions that are refused, `ignored` are functions that do nothing, `answers` those that return
    this, and `values` and `constants` are what they are. `error` is the module's name for `OSError`, the
    `module.name` of what it raises instead, or `own` where that is its own `error`."""

    why: str
    error: str = ""
    types: str = ""
    exceptions: str = ""
    refused: str = ""
    lookups: str = ""
    kinds: str = ""
    libraries: str = ""
    ignored: str = ""
    constants: str = ""
    answers: dict = dataclasses.field(default_factory=dict)
    values: dict = dataclasses.field(default_factory=dict)


# Bytes of the types of C, which packages ask for to know how large a number may be.
_SIZES = {
    1: "c_bool c_byte c_char c_int8 c_ubyte c_uint8",
    2: "c_int16 c_short c_uint16 c_ushort",
    4: "c_char_p c_float c_int c_int32 c_long c_size_t c_ssize_t c_uint c_uint32 c_ulong c_void_p c_voidp c_wchar c_wchar_p py_object",
    8: "c_double c_int64 c_longlong c_uint64 c_ulonglong",
    16: "c_longdouble",
}


def _size(of):
    name = getattr(of, "__name__", None)
    for size, names in _SIZES.items():
        if name in names.split():
            return size
    raise TypeError("this type has no size")


# Those of `multiprocessing`, which itself is there.
PROCESSES = Absent(
    "there are no processes here; threading, queue and concurrent.futures.ThreadPoolExecutor are",
    refused="""
        Array Barrier BoundedSemaphore Condition Event JoinableQueue Lock Manager Pipe Pool Queue RLock RawArray RawValue
        Semaphore SimpleQueue Value
    """,
)

TABLE = {
    "ctypes": Absent(
        "no code but Python's runs in a component; a capability of the host can do it",
        types="""
            Array Structure Union BigEndianStructure BigEndianUnion LittleEndianStructure LittleEndianUnion CDLL PyDLL
            LibraryLoader c_bool c_byte c_char c_char_p c_double c_float c_int c_int16 c_int32 c_int64 c_int8 c_long
            c_longdouble c_longlong c_short c_size_t c_ssize_t c_ubyte c_uint c_uint16 c_uint32 c_uint64 c_uint8 c_ulong
            c_ulonglong c_ushort c_void_p c_wchar c_wchar_p py_object c_voidp
        """,
        exceptions="ArgumentError",
        refused="""
            addressof alignment byref c_buffer cast create_string_buffer create_unicode_buffer get_errno memmove memset
            pointer resize set_errno string_at wstring_at
        """,
        kinds="ARRAY CFUNCTYPE POINTER PYFUNCTYPE SetPointerType",
        libraries="cdll pydll pythonapi",
        constants="DEFAULT_MODE=0 RTLD_GLOBAL=256 RTLD_LOCAL=0",
        values={"sizeof": _size},
    ),
    "ctypes.util": Absent(
        "no code but Python's runs in a component; a capability of the host can do it",
        ignored="find_library",
    ),
    "ctypes.wintypes": Absent(
        "no code but Python's runs in a component; a capability of the host can do it",
        types="""
            ATOM BOOL BOOLEAN BYTE CHAR COLORREF DOUBLE DWORD FILETIME FLOAT HACCEL HANDLE HBITMAP HBRUSH HCOLORSPACE HDC
            HDESK HDWP HENHMETAFILE HFONT HGDIOBJ HGLOBAL HHOOK HICON HINSTANCE HKEY HKL HLOCAL HMENU HMETAFILE HMODULE
            HMONITOR HPALETTE HPEN HRGN HRSRC HSTR HTASK HWINSTA HWND INT LANGID LARGE_INTEGER LCID LCTYPE LGRPID LONG
            LPARAM LPBOOL LPBYTE LPCOLESTR LPCOLORREF LPCSTR LPCVOID LPCWSTR LPDWORD LPFILETIME LPHANDLE LPHKL LPINT LPLONG
            LPMSG LPOLESTR LPPOINT LPRECT LPRECTL LPSC_HANDLE LPSIZE LPSIZEL LPSTR LPUINT LPVOID LPWIN32_FIND_DATAA
            LPWIN32_FIND_DATAW LPWORD LPWSTR MSG OLESTR PBOOL PBOOLEAN PBYTE PCHAR PDWORD PFILETIME PFLOAT PHANDLE PHKEY
            PINT PLARGE_INTEGER PLCID PLONG PMSG POINT POINTL PPOINT PPOINTL PRECT PRECTL PSHORT PSIZE PSIZEL PSMALL_RECT
            PUINT PULARGE_INTEGER PULONG PUSHORT PWCHAR PWIN32_FIND_DATAA PWIN32_FIND_DATAW PWORD RECT RECTL SC_HANDLE
            SERVICE_STATUS_HANDLE SHORT SIZE SIZEL SMALL_RECT UINT ULARGE_INTEGER ULONG USHORT VARIANT_BOOL WCHAR
            WIN32_FIND_DATAA WIN32_FIND_DATAW WORD WPARAM _COORD _FILETIME _LARGE_INTEGER _POINTL _RECTL _SMALL_RECT
            _ULARGE_INTEGER
        """,
        constants="MAX_PATH=260",
    ),
    "curses": Absent(
        "a terminal is the host's; print and input are what a program has",
        error="own",
        types="window",
        refused="""
            baudrate beep can_change_color cbreak color_content color_pair curs_set def_prog_mode def_shell_mode
            delay_output doupdate echo endwin erasechar filter flash flushinp getmouse ungetmouse getsyx getwin has_colors
            has_extended_color_support has_ic has_il has_key halfdelay init_color init_pair initscr intrflush isendwin
            is_term_resized keyname killchar longname meta mouseinterval mousemask napms newpad newwin nl nocbreak noecho
            nonl noqiflush noraw pair_content pair_number putp qiflush raw reset_prog_mode reset_shell_mode resetty
            resizeterm resize_term savetty get_escdelay set_escdelay get_tabsize set_tabsize setsyx setupterm start_color
            termattrs termname tigetflag tigetnum tigetstr tparm typeahead unctrl ungetch update_lines_cols unget_wch
            use_env use_default_colors wrapper
        """,
        constants="""
            ERR=-1 OK=0 A_ATTRIBUTES=4294967040 A_NORMAL=0 A_STANDOUT=65536 A_UNDERLINE=131072 A_REVERSE=262144
            A_BLINK=524288 A_DIM=1048576 A_BOLD=2097152 A_ALTCHARSET=4194304 A_INVIS=8388608 A_PROTECT=16777216
            A_CHARTEXT=255 A_COLOR=65280 A_HORIZONTAL=33554432 A_LEFT=67108864 A_LOW=134217728 A_RIGHT=268435456
            A_TOP=536870912 A_VERTICAL=1073741824 A_ITALIC=2147483648 COLOR_BLACK=0 COLOR_RED=1 COLOR_GREEN=2 COLOR_YELLOW=3
            COLOR_BLUE=4 COLOR_MAGENTA=5 COLOR_CYAN=6 COLOR_WHITE=7 BUTTON1_PRESSED=2 BUTTON1_RELEASED=1 BUTTON1_CLICKED=4
            BUTTON1_DOUBLE_CLICKED=8 BUTTON1_TRIPLE_CLICKED=16 BUTTON2_PRESSED=64 BUTTON2_RELEASED=32 BUTTON2_CLICKED=128
            BUTTON2_DOUBLE_CLICKED=256 BUTTON2_TRIPLE_CLICKED=512 BUTTON3_PRESSED=2048 BUTTON3_RELEASED=1024
            BUTTON3_CLICKED=4096 BUTTON3_DOUBLE_CLICKED=8192 BUTTON3_TRIPLE_CLICKED=16384 BUTTON4_PRESSED=65536
            BUTTON4_RELEASED=32768 BUTTON4_CLICKED=131072 BUTTON4_DOUBLE_CLICKED=262144 BUTTON4_TRIPLE_CLICKED=524288
            BUTTON5_PRESSED=2097152 BUTTON5_RELEASED=1048576 BUTTON5_CLICKED=4194304 BUTTON5_DOUBLE_CLICKED=8388608
            BUTTON5_TRIPLE_CLICKED=16777216 BUTTON_SHIFT=67108864 BUTTON_CTRL=33554432 BUTTON_ALT=134217728
            ALL_MOUSE_EVENTS=268435455 REPORT_MOUSE_POSITION=268435456 KEY_BREAK=257 KEY_DOWN=258 KEY_UP=259 KEY_LEFT=260
            KEY_RIGHT=261 KEY_HOME=262 KEY_BACKSPACE=263 KEY_F0=264 KEY_F1=265 KEY_F2=266 KEY_F3=267 KEY_F4=268 KEY_F5=269
            KEY_F6=270 KEY_F7=271 KEY_F8=272 KEY_F9=273 KEY_F10=274 KEY_F11=275 KEY_F12=276 KEY_F13=277 KEY_F14=278
            KEY_F15=279 KEY_F16=280 KEY_F17=281 KEY_F18=282 KEY_F19=283 KEY_F20=284 KEY_F21=285 KEY_F22=286 KEY_F23=287
            KEY_F24=288 KEY_F25=289 KEY_F26=290 KEY_F27=291 KEY_F28=292 KEY_F29=293 KEY_F30=294 KEY_F31=295 KEY_F32=296
            KEY_F33=297 KEY_F34=298 KEY_F35=299 KEY_F36=300 KEY_F37=301 KEY_F38=302 KEY_F39=303 KEY_F40=304 KEY_F41=305
            KEY_F42=306 KEY_F43=307 KEY_F44=308 KEY_F45=309 KEY_F46=310 KEY_F47=311 KEY_F48=312 KEY_F49=313 KEY_F50=314
            KEY_F51=315 KEY_F52=316 KEY_F53=317 KEY_F54=318 KEY_F55=319 KEY_F56=320 KEY_F57=321 KEY_F58=322 KEY_F59=323
            KEY_F60=324 KEY_F61=325 KEY_F62=326 KEY_F63=327 KEY_DL=328 KEY_IL=329 KEY_DC=330 KEY_IC=331 KEY_EIC=332
            KEY_CLEAR=333 KEY_EOS=334 KEY_EOL=335 KEY_SF=336 KEY_SR=337 KEY_NPAGE=338 KEY_PPAGE=339 KEY_STAB=340
            KEY_CTAB=341 KEY_CATAB=342 KEY_ENTER=343 KEY_SRESET=344 KEY_RESET=345 KEY_PRINT=346 KEY_LL=347 KEY_A1=348
            KEY_A3=349 KEY_B2=350 KEY_C1=351 KEY_C3=352 KEY_BTAB=353 KEY_BEG=354 KEY_CANCEL=355 KEY_CLOSE=356
            KEY_COMMAND=357 KEY_COPY=358 KEY_CREATE=359 KEY_END=360 KEY_EXIT=361 KEY_FIND=362 KEY_HELP=363 KEY_MARK=364
            KEY_MESSAGE=365 KEY_MOVE=366 KEY_NEXT=367 KEY_OPEN=368 KEY_OPTIONS=369 KEY_PREVIOUS=370 KEY_REDO=371
            KEY_REFERENCE=372 KEY_REFRESH=373 KEY_REPLACE=374 KEY_RESTART=375 KEY_RESUME=376 KEY_SAVE=377 KEY_SBEG=378
            KEY_SCANCEL=379 KEY_SCOMMAND=380 KEY_SCOPY=381 KEY_SCREATE=382 KEY_SDC=383 KEY_SDL=384 KEY_SELECT=385
            KEY_SEND=386 KEY_SEOL=387 KEY_SEXIT=388 KEY_SFIND=389 KEY_SHELP=390 KEY_SHOME=391 KEY_SIC=392 KEY_SLEFT=393
            KEY_SMESSAGE=394 KEY_SMOVE=395 KEY_SNEXT=396 KEY_SOPTIONS=397 KEY_SPREVIOUS=398 KEY_SPRINT=399 KEY_SREDO=400
            KEY_SREPLACE=401 KEY_SRIGHT=402 KEY_SRSUME=403 KEY_SSAVE=404 KEY_SSUSPEND=405 KEY_SUNDO=406 KEY_SUSPEND=407
            KEY_UNDO=408 KEY_MOUSE=409 KEY_RESIZE=410 KEY_MIN=257 KEY_MAX=511
        """,
    ),
    "curses.panel": Absent(
        "a terminal is the host's; print and input are what a program has",
        error="curses.error",
        refused="bottom_panel new_panel top_panel update_panels",
    ),
    "curses.textpad": Absent(
        "a terminal is the host's; print and input are what a program has",
        error="curses.error",
        types="Textbox",
        refused="rectangle",
    ),
    "fcntl": Absent(
        "files have no locks and no flags here; who writes last wins",
        refused="fcntl ioctl flock lockf",
        constants="""
            LOCK_SH=1 LOCK_EX=2 LOCK_NB=4 LOCK_UN=8 LOCK_MAND=32 LOCK_READ=64 LOCK_WRITE=128 LOCK_RW=192 F_DUPFD=0
            F_DUPFD_CLOEXEC=1030 F_GETFD=1 F_SETFD=2 F_GETFL=3 F_SETFL=4 F_GETLK=5 F_SETLK=6 F_SETLKW=7 F_OFD_GETLK=36
            F_OFD_SETLK=37 F_OFD_SETLKW=38 F_GETOWN=9 F_SETOWN=8 F_GETSIG=11 F_SETSIG=10 F_RDLCK=0 F_WRLCK=1 F_UNLCK=2
            F_GETLK64=5 F_SETLK64=6 F_SETLKW64=7 FASYNC=8192 F_SETLEASE=1024 F_GETLEASE=1025 F_NOTIFY=1026 F_EXLCK=4
            F_SHLCK=8 F_SETPIPE_SZ=1031 F_GETPIPE_SZ=1032 FD_CLOEXEC=1 DN_ACCESS=1 DN_MODIFY=2 DN_CREATE=4 DN_DELETE=8
            DN_RENAME=16 DN_ATTRIB=32 DN_MULTISHOT=2147483648 F_ADD_SEALS=1033 F_GET_SEALS=1034 F_SEAL_SEAL=1
            F_SEAL_SHRINK=2 F_SEAL_GROW=4 F_SEAL_WRITE=8
        """,
    ),
    "grp": Absent(
        "nothing here has users or groups",
        lookups="getgrgid getgrnam",
        answers={"getgrall": []},
        types="struct_group",
    ),
    "mmap": Absent(
        "files are read and written, and lie in no memory; read the file",
        error="error",
        types="mmap",
        constants="""
            PROT_EXEC=4 PROT_READ=1 PROT_WRITE=2 MAP_SHARED=1 MAP_PRIVATE=2 MAP_DENYWRITE=2048 MAP_EXECUTABLE=4096
            MAP_ANON=32 MAP_ANONYMOUS=32 MAP_POPULATE=32768 MAP_STACK=131072 ACCESS_DEFAULT=0 ACCESS_READ=1 ACCESS_WRITE=2
            ACCESS_COPY=3 MADV_NORMAL=0 MADV_RANDOM=1 MADV_SEQUENTIAL=2 MADV_WILLNEED=3 MADV_DONTNEED=4 MADV_REMOVE=9
            MADV_DONTFORK=10 MADV_DOFORK=11 MADV_HWPOISON=100 MADV_MERGEABLE=12 MADV_UNMERGEABLE=13 MADV_HUGEPAGE=14
            MADV_NOHUGEPAGE=15 MADV_DONTDUMP=16 MADV_DODUMP=17 MADV_FREE=8 PAGESIZE=65536 ALLOCATIONGRANULARITY=65536
        """,
    ),
    "multiprocessing.shared_memory": Absent(
        "there are no processes here; threading, queue and concurrent.futures.ThreadPoolExecutor are",
        types="SharedMemory ShareableList",
    ),
    "multiprocessing.sharedctypes": Absent(
        "there are no processes here; threading, queue and concurrent.futures.ThreadPoolExecutor are",
        refused="RawValue RawArray Value Array copy synchronized",
    ),
    "pty": Absent(
        "a terminal is the host's; print and input are what a program has",
        refused="fork openpty spawn",
        constants="STDIN_FILENO=0 STDOUT_FILENO=1 STDERR_FILENO=2 CHILD=0",
    ),
    "pwd": Absent(
        "nothing here has users or groups",
        lookups="getpwnam getpwuid",
        answers={"getpwall": []},
        types="struct_passwd",
    ),
    "readline": Absent(
        "the host edits lines, and keeps what was typed",
        ignored="""
            parse_and_bind insert_text redisplay read_init_file read_history_file write_history_file append_history_file
            get_history_item set_history_length set_completer get_completer set_completer_delims set_auto_history
            add_history remove_history_item replace_history_item set_completion_display_matches_hook set_startup_hook
            set_pre_input_hook clear_history
        """,
        answers={
            "get_line_buffer": "", "get_current_history_length": 0, "get_history_length": -1, "get_completion_type": 0,
            "get_begidx": 0, "get_endidx": 0, "get_completer_delims": " ",
        },
        values={"backend": "readline"},
    ),
    "resource": Absent(
        "the limits of a program are those of its policy, and its use is in what the host reports",
        error="error",
        types="struct_rusage",
        refused="getrlimit getrusage prlimit setrlimit",
        answers={"getpagesize": 65536},
        constants="""
            RLIMIT_CPU=0 RLIMIT_FSIZE=1 RLIMIT_DATA=2 RLIMIT_STACK=3 RLIMIT_CORE=4 RLIMIT_NOFILE=7 RLIMIT_OFILE=7
            RLIMIT_AS=9 RLIMIT_RSS=5 RLIMIT_NPROC=6 RLIMIT_MEMLOCK=8 RLIMIT_MSGQUEUE=12 RLIMIT_NICE=13 RLIMIT_RTPRIO=14
            RLIMIT_RTTIME=15 RLIMIT_SIGPENDING=11 RUSAGE_SELF=0 RUSAGE_CHILDREN=-1 RUSAGE_THREAD=1 RLIM_INFINITY=-1
        """,
    ),
    "syslog": Absent(
        "there is no log of the system; use logging or print",
        refused="openlog closelog syslog setlogmask LOG_MASK LOG_UPTO",
        constants="""
            LOG_EMERG=0 LOG_ALERT=1 LOG_CRIT=2 LOG_ERR=3 LOG_WARNING=4 LOG_NOTICE=5 LOG_INFO=6 LOG_DEBUG=7 LOG_PID=1
            LOG_CONS=2 LOG_NDELAY=8 LOG_ODELAY=4 LOG_NOWAIT=16 LOG_PERROR=32 LOG_KERN=0 LOG_USER=8 LOG_MAIL=16 LOG_DAEMON=24
            LOG_AUTH=32 LOG_LPR=48 LOG_LOCAL0=128 LOG_LOCAL1=136 LOG_LOCAL2=144 LOG_LOCAL3=152 LOG_LOCAL4=160 LOG_LOCAL5=168
            LOG_LOCAL6=176 LOG_LOCAL7=184 LOG_SYSLOG=40 LOG_CRON=72 LOG_UUCP=64 LOG_NEWS=56 LOG_AUTHPRIV=80
        """,
    ),
    "termios": Absent(
        "a terminal is the host's; print and input are what a program has",
        error="own",
        refused="tcgetattr tcsetattr tcsendbreak tcdrain tcflush tcflow tcgetwinsize tcsetwinsize",
        constants="""
            B0=0 B50=1 B75=2 B110=3 B134=4 B150=5 B200=6 B300=7 B600=8 B1200=9 B1800=10 B2400=11 B4800=12 B9600=13 B19200=14
            B38400=15 B57600=4097 B115200=4098 B230400=4099 B460800=4100 B500000=4101 B576000=4102 B921600=4103
            B1000000=4104 B1152000=4105 B1500000=4106 B2000000=4107 B2500000=4108 B3000000=4109 B3500000=4110 B4000000=4111
            CBAUDEX=4096 TCSANOW=0 TCSADRAIN=1 TCSAFLUSH=2 TCIFLUSH=0 TCOFLUSH=1 TCIOFLUSH=2 TCOOFF=0 TCOON=1 TCIOFF=2
            TCION=3 IGNBRK=1 BRKINT=2 IGNPAR=4 PARMRK=8 INPCK=16 ISTRIP=32 INLCR=64 IGNCR=128 ICRNL=256 IUCLC=512 IXON=1024
            IXANY=2048 IXOFF=4096 IMAXBEL=8192 OPOST=1 OLCUC=2 ONLCR=4 OCRNL=8 ONOCR=16 ONLRET=32 OFILL=64 OFDEL=128
            NLDLY=256 CRDLY=1536 TABDLY=6144 BSDLY=8192 VTDLY=16384 FFDLY=32768 NL0=0 NL1=256 CR0=0 CR1=512 CR2=1024
            CR3=1536 TAB0=0 TAB1=2048 TAB2=4096 TAB3=6144 XTABS=6144 BS0=0 BS1=8192 VT0=0 VT1=16384 FF0=0 FF1=32768 CSIZE=48
            CSTOPB=64 CREAD=128 PARENB=256 PARODD=512 HUPCL=1024 CLOCAL=2048 CIBAUD=269418496 CRTSCTS=2147483648 CS5=0
            CS6=16 CS7=32 CS8=48 ISIG=1 ICANON=2 XCASE=4 ECHO=8 ECHOE=16 ECHOK=32 ECHONL=64 ECHOCTL=512 ECHOPRT=1024
            ECHOKE=2048 FLUSHO=4096 NOFLSH=128 TOSTOP=256 PENDIN=16384 IEXTEN=32768 VINTR=0 VQUIT=1 VERASE=2 VKILL=3 VEOF=4
            VTIME=5 VMIN=6 VSWTC=7 VSWTCH=7 VSTART=8 VSTOP=9 VSUSP=10 VEOL=11 VREPRINT=12 VDISCARD=13 VWERASE=14 VLNEXT=15
            VEOL2=16 CBAUD=4111 CDSUSP=25 CEOF=4 CEOL=0 CEOT=4 CERASE=127 CFLUSH=15 CINTR=3 CKILL=21 CLNEXT=22 CQUIT=28
            CRPRNT=18 CSTART=17 CSTOP=19 CSUSP=26 CWERASE=23 EXTA=14 EXTB=15 FIOASYNC=21586 FIOCLEX=21585 FIONBIO=21537
            FIONCLEX=21584 FIONREAD=21531 IOCSIZE_MASK=1073676288 IOCSIZE_SHIFT=16 NCC=8 NCCS=32 N_MOUSE=2 N_PPP=3 N_SLIP=1
            N_STRIP=4 N_TTY=0 TCFLSH=21515 TCGETA=21509 TCGETS=21505 TCSBRK=21513 TCSBRKP=21541 TCSETA=21510 TCSETAF=21512
            TCSETAW=21511 TCSETS=21506 TCSETSF=21508 TCSETSW=21507 TCXONC=21514 TIOCCONS=21533 TIOCEXCL=21516 TIOCGETD=21540
            TIOCGICOUNT=21597 TIOCGLCKTRMIOS=21590 TIOCGPGRP=21519 TIOCGSERIAL=21534 TIOCGSOFTCAR=21529 TIOCGWINSZ=21523
            TIOCINQ=21531 TIOCLINUX=21532 TIOCMBIC=21527 TIOCMBIS=21526 TIOCMGET=21525 TIOCMIWAIT=21596 TIOCMSET=21528
            TIOCM_CAR=64 TIOCM_CD=64 TIOCM_CTS=32 TIOCM_DSR=256 TIOCM_DTR=2 TIOCM_LE=1 TIOCM_RI=128 TIOCM_RNG=128
            TIOCM_RTS=4 TIOCM_SR=16 TIOCM_ST=8 TIOCNOTTY=21538 TIOCNXCL=21517 TIOCOUTQ=21521 TIOCPKT=21536 TIOCPKT_DATA=0
            TIOCPKT_DOSTOP=32 TIOCPKT_FLUSHREAD=1 TIOCPKT_FLUSHWRITE=2 TIOCPKT_NOSTOP=16 TIOCPKT_START=8 TIOCPKT_STOP=4
            TIOCSCTTY=21518 TIOCSERCONFIG=21587 TIOCSERGETLSR=21593 TIOCSERGETMULTI=21594 TIOCSERGSTRUCT=21592
            TIOCSERGWILD=21588 TIOCSERSETMULTI=21595 TIOCSERSWILD=21589 TIOCSER_TEMT=1 TIOCSETD=21539 TIOCSLCKTRMIOS=21591
            TIOCSPGRP=21520 TIOCSSERIAL=21535 TIOCSSOFTCAR=21530 TIOCSTI=21522 TIOCSWINSZ=21524
        """,
    ),
    "tty": Absent(
        "a terminal is the host's; print and input are what a program has",
        error="termios.error",
        refused="cfmakecbreak cfmakeraw setcbreak setraw",
        constants="IFLAG=0 OFLAG=1 CFLAG=2 LFLAG=3 ISPEED=4 OSPEED=5 CC=6",
    ),
    "bz2": Absent(
        "this Python has no library for it; zlib and gzip are there",
        types="BZ2Compressor BZ2Decompressor BZ2File",
        refused="compress decompress open",
    ),
    "lzma": Absent(
        "this Python has no library for it; zlib and gzip are there",
        types="LZMACompressor LZMADecompressor LZMAFile",
        exceptions="LZMAError",
        refused="compress decompress is_check_supported open",
        constants="""
            FORMAT_AUTO=0 FORMAT_XZ=1 FORMAT_ALONE=2 FORMAT_RAW=3 CHECK_NONE=0 CHECK_CRC32=1 CHECK_CRC64=4 CHECK_SHA256=10
            CHECK_ID_MAX=15 CHECK_UNKNOWN=16 FILTER_LZMA1=4611686018427387905 FILTER_LZMA2=33 FILTER_DELTA=3 FILTER_X86=4
            FILTER_IA64=6 FILTER_ARM=7 FILTER_ARMTHUMB=8 FILTER_SPARC=9 FILTER_POWERPC=5 MF_HC3=3 MF_HC4=4 MF_BT2=18
            MF_BT3=19 MF_BT4=20 MODE_FAST=1 MODE_NORMAL=2 PRESET_DEFAULT=6 PRESET_EXTREME=2147483648 _MODE_CLOSED=0
            _MODE_READ=1 _MODE_WRITE=3
        """,
    ),
    "compression.bz2": Absent(
        "this Python has no library for it; zlib and gzip are there",
        types="BZ2Compressor BZ2Decompressor BZ2File",
        refused="compress decompress open",
    ),
    "compression.lzma": Absent(
        "this Python has no library for it; zlib and gzip are there",
        types="LZMACompressor LZMADecompressor LZMAFile",
        exceptions="LZMAError",
        refused="compress decompress is_check_supported open",
    ),
    "compression.zstd": Absent(
        "this Python has no library for it; zlib and gzip are there",
        types="ZstdCompressor ZstdDecompressor ZstdDict ZstdFile",
        exceptions="ZstdError",
        refused="compress decompress finalize_dict get_frame_info get_frame_size open train_dict",
        constants="COMPRESSION_LEVEL_DEFAULT=3",
    ),
}
