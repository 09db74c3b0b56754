#!/usr/bin/env python3
"""A collector of OpenTelemetry: collector.py FILE. It takes OTLP/HTTP in protobuf, and appends each span to FILE as a line of JSON."""

import http.server
import json
import sys
import threading

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

MEDIA_TYPE = "application/x-protobuf"
ONE_AT_A_TIME = threading.Lock()


def value(any_value):
    return getattr(any_value, any_value.WhichOneof("value"))


def attributes(pairs):
    return {pair.key: value(pair.value) for pair in pairs}


def spans(request, headers):
    for of_resource in request.resource_spans:
        resource = attributes(of_resource.resource.attributes)
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                yield {
                    "resource": resource,
                    "scope": of_scope.scope.name,
                    "headers": headers,
                    "name": span.name,
                    "trace": span.trace_id.hex(),
                    "span": span.span_id.hex(),
                    "parent": span.parent_span_id.hex(),
                    "kind": Span.SpanKind.Name(span.kind),
                    "start": span.start_time_unix_nano,
                    "end": span.end_time_unix_nano,
                    "attributes": attributes(span.attributes),
                    "links": [[link.trace_id.hex(), link.span_id.hex()] for link in span.links],
                    "status": Status.StatusCode.Name(span.status.code),
                }


class Collector(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path != "/v1/traces" or self.headers["content-type"] != MEDIA_TYPE:
            return self.answer(415, b"")
        request = ExportTraceServiceRequest.FromString(body)
        with ONE_AT_A_TIME, open(sys.argv[1], "a") as file:
            for span in spans(request, dict(self.headers)):
                file.write(json.dumps(span) + "\n")
        self.answer(200, ExportTraceServiceResponse().SerializeToString())

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("content-type", MEDIA_TYPE)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


open(sys.argv[1], "a").close()
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
print(f"collecting at http://127.0.0.1:{server.server_port}", file=sys.stderr, flush=True)
server.serve_forever()
