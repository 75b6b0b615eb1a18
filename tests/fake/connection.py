"""An accepted socket: requests read, bytes sent well and badly, and the ways to end."""

import asyncio
import fcntl
import os
import select
import socket
import struct
import termios

from fake.message import BadRequest, Request
from fake.world import FilePiece

HEAD_MAX = 64 << 10
PACE = 0.02                     # seconds of bandwidth sent at once


class Gone(Exception):
    """The connection is over, by the client or by a fault."""


class Connection:
    """One accepted socket: whole requests in, counted bytes out."""

    SCHEME = "http"

    def __init__(self, sock, hop, number):
        self.sock, self.hop, self.number = sock, hop, number
        self.loop = asyncio.get_running_loop()
        self.input = bytearray()
        self.body_sent = 0
        self.pace_until = 0.0
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def open(self):
        """Whatever comes before the first request."""

    # --- reading ---

    async def _more(self):
        data = await self.loop.sock_recv(self.sock, 256 << 10)
        if not data:
            raise Gone
        self.input += data

    async def read_head(self):
        """A request without its body."""
        while (end := self.input.find(b"\r\n\r\n")) < 0:
            if len(self.input) > HEAD_MAX:
                raise BadRequest("request head too large")
            await self._more()
        request = Request(bytes(self.input[:end]), self.SCHEME)
        del self.input[:end + 4]
        return request

    async def read_body(self, request, plan=None):
        """The rest of the request; `plan` says where to stop reading, and what happens there."""
        length = request.content_length
        stop = plan.cut_at if plan else None
        if stop == -1:
            await self.cut(plan)
        if length and "100-continue" in request.headers.get("expect", "").lower():
            await self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        if stop is not None and 0 <= stop < length:
            while len(self.input) < stop:
                await self._more()
            await self.cut(plan)
        while len(self.input) < length:
            await self._more()
        request.body = bytes(self.input[:length])
        del self.input[:length]

    # --- writing ---

    async def _ready(self, add, remove, timeout=None):
        future = self.loop.create_future()
        fd = self.sock.fileno()
        add(fd, lambda: future.done() or future.set_result(None))
        try:
            await asyncio.wait_for(future, timeout) if timeout else await future
        finally:
            remove(fd)

    async def _writable(self):
        await self._ready(self.loop.add_writer, self.loop.remove_writer)

    async def send(self, data, flags=0):
        view = memoryview(data)
        while len(view):
            try:
                view = view[self.sock.send(view, flags):]
            except BlockingIOError:
                await self._writable()

    async def _send_file(self, piece):
        while piece.length:
            try:
                sent = os.sendfile(self.sock.fileno(), piece.fd, piece.offset, piece.length)
                if sent == 0:
                    raise Gone
                piece = piece[sent:]
            except BlockingIOError:
                await self._writable()

    async def send_piece(self, piece):
        """Part of a body, as fast as it goes."""
        await (self._send_file(piece) if isinstance(piece, FilePiece) else self.send(piece))
        self.body_sent += len(piece)
        await asyncio.sleep(0)

    async def send_paced(self, piece, rate):
        step = max(1, int(rate * PACE))
        for at in range(0, len(piece), step):
            part = piece[at:at + step]
            await self.send_piece(part)
            self.pace_until = max(self.pace_until, self.loop.time()) + len(part) / rate
            await asyncio.sleep(self.pace_until - self.loop.time())

    async def send_head_drip(self, head, count, every):
        for at in range(0, len(head), count):
            await self.send(head[at:at + count])
            await asyncio.sleep(every)

    async def send_drip(self, piece, count, every):
        for at in range(0, len(piece), count):
            await self.send_piece(piece[at:at + count])
            await asyncio.sleep(every)

    async def send_forever(self, piece, first=b""):
        """Until the client gives up."""
        await self.send(first)
        while True:
            await self.send(piece)
            await asyncio.sleep(0)

    # --- ending ---

    async def cut(self, plan):
        """What happens at the cut. Only a stall that ends comes back."""
        if plan.cut_how == "stall":
            await self.stall(plan.seconds)
            return
        if plan.cut_how == "reset":
            await self.reset()
        if plan.notify:
            await self.finish()
        raise Gone

    async def stall(self, seconds):
        """Silence for so long; Gone once the client gives up."""
        end = None if seconds is None else self.loop.time() + seconds
        while end is None or self.loop.time() < end:
            left = None if end is None else max(0.001, end - self.loop.time())
            try:
                await self._ready(self.loop.add_reader, self.loop.remove_reader, left)
            except asyncio.TimeoutError:
                return
            if self._is_over():
                raise Gone
            await asyncio.sleep(0.05)

    def _is_over(self):
        """Whether the client has ended its side, be there unread data before that or not."""
        poll = select.poll()
        poll.register(self.sock, select.POLLRDHUP)
        return bool(poll.poll(0))

    async def finish(self):
        """Say that this is the end, where the protocol has words for it."""

    async def reset(self):
        """RST, after what was sent has been taken by the other side."""
        for _ in range(200):
            waiting = fcntl.ioctl(self.sock, termios.TIOCOUTQ, b"\0\0\0\0")
            if struct.unpack("i", waiting)[0] == 0:
                break
            await asyncio.sleep(0.005)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self):
        self.sock.close()
