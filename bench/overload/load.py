"""The service and its clients: a service with so many slots, and an open loop that asks by the clock
whether or not it is answered. Both on asyncio's protocols, because streams cost too much here."""

import asyncio
import heapq
import random
import socket
import time
from collections import deque

SLOTS, TAKES = 20, 0.050
CAPACITY = SLOTS / TAKES
PATIENCE = 2.0
CONNECTIONS_MAX = 8_000
# Of a hundred requests: class, the path that the manifest gives it, share.
CLASSES = (("critical", "/critical", 5), ("default", "/default", 55),
           ("sheddable", "/sheddable", 25), ("background", "/background", 15))


class Service(asyncio.Protocol):
    """Does so many requests at once, each for the same time, the rest in the order they came. As
    most services do, it goes on with a request whose client has given up."""

    line, busy = deque(), 0
    asked = 0
    open, connections = True, set()

    def __init__(self):
        self.buffer = b""

    def connection_made(self, transport):
        self.transport = transport
        if Service.open:
            Service.connections.add(transport)
        else:
            transport.abort()

    def connection_lost(self, _):
        Service.connections.discard(self.transport)

    @classmethod
    def gone(cls):
        cls.open = False
        for transport in list(cls.connections):
            transport.abort()

    def data_received(self, data):
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            self.buffer = self.buffer[end + 4:]
            Service.asked += 1
            if Service.busy < SLOTS:
                self.begin()
            else:
                Service.line.append(self)

    def begin(self):
        Service.busy += 1
        asyncio.get_running_loop().call_later(TAKES, self.done)

    def done(self):
        Service.busy -= 1
        if Service.line:
            Service.line.popleft().begin()
        if not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n"
                                 b"cache-control: no-store\r\n\r\nok")


class Answer:
    """One request and what came of it. `status` is 0 where nothing came in time."""

    __slots__ = ("kind", "asked", "took", "status", "after", "who")

    def __init__(self, kind, asked, who):
        self.kind, self.asked, self.who = kind, asked, who
        self.took, self.status, self.after = None, 0, None

    def good(self):
        return self.status == 200


class Connection(asyncio.Protocol):
    """One connection of a client; it is used again when its answer is whole."""

    def __init__(self, load):
        self.load, self.answer, self.buffer = load, None, b""

    def connection_made(self, transport):
        self.transport = transport
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, answer, request):
        self.answer, self.buffer = answer, b""
        self.transport.write(request)

    def data_received(self, data):
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if self.answer is None or end < 0:
            return
        head = self.buffer[:end].lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15:].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self.buffer) < end + 4 + length:
            return
        answer, self.answer = self.answer, None
        answer.status = int(head[9:12])
        at = head.find(b"retry-after:")
        if at >= 0:
            answer.after = int(head[at + 12:].split(b"\r\n", 1)[0])
        self.load.ended(answer)
        if b"connection: close" in head:
            self.transport.close()
        else:
            self.load.idle.append(self)

    def connection_lost(self, _):
        if self.answer is not None:
            answer, self.answer = self.answer, None
            self.load.ended(answer)
        self.load.open -= 1


class Load:
    """An open loop at a rate that may change."""

    def __init__(self, port, seed=7):
        self.port, self.random = port, random.Random(seed)
        self.idle, self.open = deque(), 0
        self.answers, self.waiting = [], deque()
        self.when_ended = None
        self.late = 0.0

    def request(self, path, who):
        return (f"GET {path} HTTP/1.1\r\nhost: api.bench.example\r\n"
                f"authorization: Bearer client-{who}\r\n\r\n").encode()

    def ended(self, answer):
        answer.took = time.monotonic() - answer.asked
        if self.when_ended:
            self.when_ended(answer)

    async def send(self, kind, who, due=None):
        """`due`: when it should have been sent; waiting to be sent is waiting, too."""
        answer = Answer(kind[0], time.monotonic() if due is None else due, who)
        self.answers.append(answer)
        request = self.request(kind[1], who)
        while self.idle:
            connection = self.idle.pop()
            if not connection.transport.is_closing():
                connection.ask(answer, request)
                self.waiting.append((answer.asked + PATIENCE, answer, connection))
                return
        if self.open >= CONNECTIONS_MAX:
            answer.took = 0.0
            return
        self.open += 1
        try:
            loop = asyncio.get_running_loop()
            _, connection = await loop.create_connection(
                lambda: Connection(self), "127.0.0.1", self.port)
        except OSError:
            self.open -= 1
            self.ended(answer)
            return
        connection.ask(answer, request)
        self.waiting.append((answer.asked + PATIENCE, answer, connection))

    def give_up(self):
        """A client that has waited long enough closes its connection."""
        now = time.monotonic()
        while self.waiting and self.waiting[0][0] <= now:
            _, answer, connection = self.waiting.popleft()
            if connection.answer is answer:
                connection.transport.abort()

    def draw(self):
        at = self.random.random() * 100
        for kind in CLASSES:
            at -= kind[2]
            if at < 0:
                return kind
        return CLASSES[-1]

    async def run(self, rate, seconds):
        """Asks at that rate, by a Poisson process; gives the answers asked for in that time."""
        begun = time.monotonic()
        first, due, sending = len(self.answers), begun, set()
        while due < begun + seconds:
            now = time.monotonic()
            self.give_up()
            while due <= now and due < begun + seconds:
                self.late = max(self.late, now - due)
                task = asyncio.ensure_future(
                    self.send(self.draw(), self.random.randrange(1_000_000), due))
                sending.add(task)
                task.add_done_callback(sending.discard)
                due += self.random.expovariate(rate)
            await asyncio.sleep(max(0.001, min(due - time.monotonic(), 0.05)))
        return first, len(self.answers)

    async def settle(self):
        end = time.monotonic() + PATIENCE + 0.2
        while time.monotonic() < end and any(c.answer is a for _, a, c in self.waiting):
            self.give_up()
            await asyncio.sleep(0.02)

    def close(self):
        for connection in self.idle:
            connection.transport.abort()


async def storm(port, clients, seconds):
    """So many clients ask within a second, and whoever is refused comes back when he was told.
    Gives the times at which they asked, and how many were served."""
    load = Load(port)
    again, served, asked = [], set(), []

    def when_ended(answer):
        if answer.good():
            served.add(answer.who)
        else:
            # Who was told nothing waits a second.
            heapq.heappush(again, (time.monotonic() + (answer.after or 1), answer.who))

    load.when_ended = when_ended
    begun = time.monotonic()
    for who in range(clients):
        heapq.heappush(again, (begun + load.random.random(), who))
    while len(served) < clients and time.monotonic() < begun + seconds:
        now = time.monotonic()
        load.give_up()
        while again and again[0][0] <= now:
            _, who = heapq.heappop(again)
            asked.append(time.monotonic() - begun)
            await load.send(CLASSES[1], who)
        await asyncio.sleep(0.002)
    load.close()
    return asked, len(served), time.monotonic() - begun
