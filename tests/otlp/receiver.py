"""An OTLP receiver that reads strictly: bodies must parse by OpenTelemetry's own messages, hold no
field those do not know, and say what the protocol asks of them."""

import base64
import gzip
import http.server
import json
import threading

from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

MESSAGES = {
    "/v1/traces": (ExportTraceServiceRequest, ExportTraceServiceResponse),
    "/v1/metrics": (ExportMetricsServiceRequest, ExportMetricsServiceResponse),
}


def unknown_fields(message):
    """The names of messages, anywhere inside, that hold a field their type does not know."""
    found = [message.DESCRIPTOR.full_name] if len(UnknownFieldSet(message)) else []
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for inner in [value] if isinstance(value, Message) else value:
                found += unknown_fields(inner)
    return found


def from_json(text):
    """OTLP's JSON: as protocol buffers have it, but ids are in hexadecimal digits."""
    said = json.loads(text)
    for resource_spans in said["resourceSpans"]:
        for scope_spans in resource_spans["scopeSpans"]:
            for span in scope_spans["spans"]:
                for key in {"traceId", "spanId", "parentSpanId"} & span.keys():
                    span[key] = base64.b64encode(bytes.fromhex(span[key])).decode()
    return ParseDict(said, ExportTraceServiceRequest())


def value(any_value):
    return getattr(any_value, any_value.WhichOneof("value"))


def attributes(pairs):
    """As a dict; a key that stands twice is a fault."""
    found = {}
    for pair in pairs:
        if pair.key in found:
            raise ValueError(f"attribute {pair.key} stands twice")
        found[pair.key] = value(pair.value)
    return found


class Span:
    def __init__(self, span, resource):
        self.trace = span.trace_id.hex()
        self.id = span.span_id.hex()
        self.parent = span.parent_span_id.hex()
        self.name = span.name
        self.kind = span.kind
        self.start, self.end = span.start_time_unix_nano, span.end_time_unix_nano
        self.attributes = attributes(span.attributes)
        self.error = span.status.code == 2
        self.flags = span.flags
        self.resource = resource


class Receiver:
    """Listens on a free port; a context manager. `refuse` answers come first; `others` are the
    scopes of further senders that are waited for, in JSON or not."""

    def __init__(self, refuse=(), others=()):
        self.scopes = {"plimsoll", *others}
        self.faults = []
        self.spans = []
        self.metrics = []  # (metric, resource), newest last
        self.headers = []
        self.refused = 0
        self._refuse = list(refuse)
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, answer, fields = receiver.take(self.path, self.headers, body)
                self.send_response(status)
                for name, text in fields.items():
                    self.send_header(name, text)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()

    def take(self, path, headers, body):
        self.headers.append({name.lower(): text for name, text in headers.items()})
        if self._refuse and path == "/v1/traces":
            self.refused += 1
            return self._refuse.pop(0)
        try:
            kind = headers["Content-Type"]
            if kind == "application/json" and len(self.scopes) > 1:
                self.traces(from_json(body))
                return 200, b"{}", {}
            if kind != "application/x-protobuf":
                raise ValueError(f"Content-Type {kind}")
            if headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            request, response = MESSAGES[path]
            message = request.FromString(body)
            if unknown := unknown_fields(message):
                raise ValueError(f"unknown fields in {unknown}")
            getattr(self, "traces" if path == "/v1/traces" else "figures")(message)
            return 200, response().SerializeToString(), {}
        except Exception as fault:  # What is wrong is what the test is for.
            self.faults.append(f"{path}: {fault!r}")
            return 400, b"", {}

    def traces(self, message):
        for resource_spans in message.resource_spans:
            resource = attributes(resource_spans.resource.attributes)
            for scope_spans in resource_spans.scope_spans:
                if scope_spans.scope.name not in self.scopes:
                    raise ValueError(f"the scope {scope_spans.scope.name!r}")
                for span in scope_spans.spans:
                    if len(span.trace_id) != 16 or len(span.span_id) != 8:
                        raise ValueError("an id has the wrong length")
                    if not 0 < span.start_time_unix_nano <= span.end_time_unix_nano:
                        raise ValueError("a span ends before it begins")
                    self.spans.append(Span(span, resource))

    def figures(self, message):
        for resource_metrics in message.resource_metrics:
            resource = attributes(resource_metrics.resource.attributes)
            for scope_metrics in resource_metrics.scope_metrics:
                for metric in scope_metrics.metrics:
                    check(metric)
                    self.metrics.append((metric, resource))


def check(metric):
    kind = metric.WhichOneof("data")
    if not (metric.name and metric.description and metric.unit and kind):
        raise ValueError(f"{metric.name} lacks something")
    data = getattr(metric, kind)
    if kind != "gauge" and data.aggregation_temporality != 2:
        raise ValueError(f"{metric.name} is not cumulative")
    if kind == "sum" and not data.is_monotonic:
        raise ValueError(f"{metric.name} is not monotonic")
    seen = set()
    for point in data.data_points:
        labels = tuple(sorted(attributes(point.attributes).items()))
        if labels in seen:
            raise ValueError(f"{metric.name} has {labels} twice")
        seen.add(labels)
        if kind != "gauge" and not 0 < point.start_time_unix_nano <= point.time_unix_nano:
            raise ValueError(f"{metric.name} begins after it ends")
        for exemplar in point.exemplars if kind == "histogram" else []:
            if len(exemplar.trace_id) != 16 or len(exemplar.span_id) != 8:
                raise ValueError(f"{metric.name} has an exemplar of no trace")
            if exemplar.time_unix_nano > point.time_unix_nano:
                raise ValueError(f"{metric.name} has an exemplar from later")
        if kind == "histogram" and point.bucket_counts:
            if len(point.bucket_counts) != len(point.explicit_bounds) + 1:
                raise ValueError(f"{metric.name} has counts that do not fit its bounds")
            if sum(point.bucket_counts) != point.count:
                raise ValueError(f"{metric.name} has counts that do not add up")
            if list(point.explicit_bounds) != sorted(set(point.explicit_bounds)):
                raise ValueError(f"{metric.name} has bounds that do not rise")
