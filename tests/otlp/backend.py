"""A backend with an N+1 in it, traced by OpenTelemetry's own SDK. Where its spans go, and whether it
makes any, is said by the standard variables alone: `backend.py PORT`."""

import http.server
import json
import sys
import time

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagate import extract
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind

AUTHORS = 20
SLOW_SECONDS = 1.5
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("backend")


def query(text):
    attributes = {"db.system.name": "postgresql", "db.query.text": text}
    with tracer.start_as_current_span("query", kind=SpanKind.CLIENT, attributes=attributes):
        pass


def feed():
    query("SELECT id, author_id FROM articles ORDER BY written DESC LIMIT 20")
    with tracer.start_as_current_span("render"):
        for author in range(AUTHORS):
            query(f"SELECT name FROM authors WHERE id = {author} AND mail <> 'a{author}@secret.example'")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = self.path.split("?")[0]
        status = 500 if path == "/boom" else 200
        attributes = {"http.route": path, "http.request.method": "GET"}
        with tracer.start_as_current_span(
            f"GET {path}", context=extract(self.headers), kind=SpanKind.SERVER,
            attributes=attributes,
        ) as span:
            if path == "/feed":
                feed()
            if path == "/slow":
                time.sleep(SLOW_SECONDS)
            context = span.get_span_context()
            body = json.dumps({
                "traceparent": self.headers.get("traceparent"),
                "span": f"{context.span_id:016x}", "trace": f"{context.trace_id:032x}",
            }).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
