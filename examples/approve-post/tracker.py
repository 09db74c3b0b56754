"""An issue tracker on tracker.localhost:8048: one issue, and the comments that are posted to it, written to `comments.log`."""

import http.server
import json
import pathlib
import sys

LOG = pathlib.Path(sys.argv[1])


class Tracker(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer({"title": "The lamp flickers", "comments": 0})

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        with LOG.open("a") as log:
            log.write(f"{self.path} {self.headers['idempotency-key']} {body}\n")
        self.answer({})

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", 8048), Tracker).serve_forever()
