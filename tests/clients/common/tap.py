"""A tap on the wire between the edge and an origin: copies bytes both ways and keeps what went in.

It understands nothing while it copies; the requests are read from the kept bytes afterwards.
"""

import asyncio
import threading

KEPT_BYTES_MAX = 64 << 20  # For all connections together.


class Request:
    """One request as the origin received it."""

    def __init__(self, method, target, headers, body):
        self.method = method
        self.target = target
        self.path = target.split("?", 1)[0]
        self.headers = headers  # Lower-case name to list of values.
        self.body = body

    def header(self, name):
        values = self.headers.get(name, [])
        return values[0] if len(values) == 1 else None


class Tap:
    """Listens on a free port and leads to the origin's; a context manager."""

    def __init__(self, origin_port):
        self.origin_port = origin_port
        self.port = None
        self._kept = []
        self._kept_bytes = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._started = threading.Event()

    def __enter__(self):
        self._thread.start()
        self._started.wait(10)
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def requests(self):
        """All requests so far, connection by connection."""
        return [request for kept in self._kept for request in parse(bytes(kept))]

    def _run(self):
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._connection, "127.0.0.1", 0)
        )
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))

    async def _connection(self, reader, writer):
        kept = bytearray()
        self._kept.append(kept)
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.origin_port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(
            self._copy(reader, up_writer, kept), self._copy(up_reader, writer, None)
        )

    async def _copy(self, reader, writer, kept):
        try:
            while data := await reader.read(65536):
                if kept is not None:
                    self._kept_bytes += len(data)
                    if self._kept_bytes > KEPT_BYTES_MAX:
                        raise RuntimeError("the tap has kept too much")
                    kept += data
                writer.write(data)
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()


def parse(data):
    """The requests in what one connection carried; a cut one at the end is left out."""
    requests = []
    while (head_end := data.find(b"\r\n\r\n")) >= 0:
        lines = data[:head_end].decode("latin-1").split("\r\n")
        method, target, _version = lines[0].split(" ", 2)
        headers = {}
        for line in lines[1:]:
            name, value = line.split(":", 1)
            headers.setdefault(name.lower(), []).append(value.strip())
        rest = data[head_end + 4 :]
        body, data = take_body(headers, rest)
        if body is None:
            break
        requests.append(Request(method, target, headers, body))
    return requests


def take_body(headers, rest):
    """The body and what follows it; `None` when it is cut."""
    if "chunked" in headers.get("transfer-encoding", [""])[0].lower():
        body = bytearray()
        while (line_end := rest.find(b"\r\n")) >= 0:
            size = int(rest[:line_end].split(b";")[0], 16)
            chunk = rest[line_end + 2 : line_end + 2 + size]
            rest = rest[line_end + 2 + size + 2 :]
            if size == 0:
                return bytes(body), rest
            body += chunk
        return None, rest
    length = int(headers.get("content-length", ["0"])[0])
    if len(rest) < length:
        return None, rest
    return rest[:length], rest[length:]
