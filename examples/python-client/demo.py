"""Drives a session: cells, output, a question, a capability, a denial, and a host that is killed in the middle of a cell."""

import os
import signal
import threading
from pathlib import Path

from everstep import CellError, Session, SessionLost

HERE = Path(__file__).parent
REPORT = """
from pathlib import Path
Path("/out/started").write_text("once")
print("asks for the weather")
bergen = await request("weather", "Bergen")
Path("/out/report").write_text(f"{bergen['celsius']} degrees in {bergen['city']}, asked by {name}")
bergen["celsius"]
"""

asked, host_is_dead = threading.Event(), threading.Event()
# The ids of the requests for the weather of Bergen, each time that the host sends one; and how often it was looked up.
requested, looked_up = [], []


def weather(city):
    print(f"client: weather({city!r})")
    looked_up.append(city)
    if city == "Bergen":
        asked.set()
        host_is_dead.wait()
    return {"city": city, "celsius": {"Oslo": -3, "Bergen": 4}[city]}


def answer(prompt, kind, schema, data):
    print(f"client: asked {prompt!r}")
    return "Ada"


def count(direction, message):
    if message["type"] == "capability_request" and message["message"] == "Bergen":
        requested.append(message["id"])


def open_session():
    return Session(
        id="demo",
        policy=HERE / "policy.toml",
        command=[os.environ.get("EVERSTEP", "target/release/everstep")],
        on_input=answer,
        on_display=lambda data: print(f"client: display {data['text/html']}"),
        on_denied=lambda call, subject, message: print(f"client: denied {call} {subject}"),
        capabilities={"weather": weather},
        trace=count,
    )


session = open_session()
session.execute("from everstep import request, display\nname = input('Your name? ')")
session.execute("""
class Bold:
    def _repr_html_(self):
        return f"<b>{name}</b>"
print("hello", name)
display(Bold())
""")
print("result:", session.execute("oslo = await request('weather', 'Oslo')\n[name, oslo['celsius']]").value)
try:
    session.execute("open('/etc/passwd')")
except CellError as error:
    print("error: ", error.name)

report = session.submit(REPORT, id="report")
asked.wait()
os.kill(session.pid, signal.SIGKILL)
try:
    report.result()
except SessionLost as lost:
    print("client:", lost)
host_is_dead.set()

with open_session() as session:
    print("client: taken up:", session.resumed)
    # The cell that was sent before the crash, sent again under its id: it goes on, and does not run twice.
    print("result:", session.execute(REPORT, id="report").value)
    print("result:", session.execute("name, oslo, bergen").repr)
    print(f"client: Bergen: requested {len(requested)} times, under {len(set(requested))} id, looked up {looked_up.count('Bergen')} time")
    session.close(end=True)
