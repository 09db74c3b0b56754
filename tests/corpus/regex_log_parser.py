# Parses an access log and sums up what it tells.
import re
from collections import Counter

log = """10.0.0.1 - - [12/Mar/2024:10:00:01 +0000] "GET /index.html HTTP/1.1" 200 5120
10.0.0.2 - ada [12/Mar/2024:10:00:02 +0000] "POST /login HTTP/1.1" 302 0
10.0.0.1 - - [12/Mar/2024:10:00:05 +0000] "GET /missing HTTP/1.1" 404 153
garbage line
10.0.0.3 - - [12/Mar/2024:10:01:00 +0000] "GET /index.html HTTP/1.1" 200 5120
"""
pattern = re.compile(
    r"""(?P<host>\S+)\ \S+\ (?P<user>\S+)\ \[(?P<time>[^]]+)\]\ "(?P<method>[A-Z]+)\ (?P<path>\S+)[^"]*"\ (?P<status>\d{3})\ (?P<size>\d+)""",
    re.VERBOSE,
)
entries = [match.groupdict() for line in log.splitlines() if (match := pattern.match(line))]
print(len(entries), "entries,", len(log.splitlines()) - len(entries), "not understood")
print(Counter(entry["status"] for entry in entries).most_common())
print("bytes:", sum(int(entry["size"]) for entry in entries))
print("users:", {entry["user"] for entry in entries} - {"-"})
