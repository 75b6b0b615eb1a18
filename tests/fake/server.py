#!/usr/bin/python3
"""HTTP/1.1 over plain sockets or TLS: listeners, exchanges, sending well and badly, the access log.

One asyncio loop, one task per connection. Bodies are sent straight from memoryviews or files, so
that what the log calls sent is what the kernel took.
"""

import asyncio
import os
import socket
import sys
import time
import traceback

if __name__ == "__main__":      # started as a script: make the package importable
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from fake import control
from fake.api import Api
from fake.connection import Connection, Gone
from fake.faults import Faults, apply, upload_plan
from fake.message import Answer, BadRequest
from fake.storage import Storage
from fake.store import Store
from fake.tls import SecureConnection, make_context
from fake.world import World

SMALL_BODY = 64 << 10
BACKLOG = 4096
SHORT_TOKEN = 8                 # up to here a token is too like other text to be searched for


class Hop:
    """One of the three addresses (or the control one): listener, delays, counters."""

    def __init__(self, name, address):
        self.name = name
        self.address = address
        self.socket = None
        self.tls = None                 # the certificate as an SSLContext, where it speaks TLS
        self.handshakes = {"good": 0, "bad": 0, "resumed": 0}
        self.protocols = {"h2": 0, "http/1.1": 0, "none": 0}    # what ALPN came to
        self.latency = 0.0
        self.bandwidth = None
        self.active = self.most_active = self.requests = 0
        self.blocking = []              # connections of our own that fill the kernel's queue
        self.connections = set()

    def bind(self):
        """Bound and not yet listening: the port is ours, and connecting is refused."""
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.address)
        self.socket.setblocking(False)
        self.address = self.socket.getsockname()

    @property
    def url(self):
        scheme, usual = ("https", 443) if self.tls else ("http", 80)
        port = self.address[1]
        return "%s://%s%s" % (scheme, self.address[0], "" if port == usual else ":%d" % port)

    def take(self, sock, number):
        """What has just been accepted, as a connection."""
        if self.tls:
            return SecureConnection(sock, self, number, self.tls)
        return Connection(sock, self, number)


class Server:
    def __init__(self, api=("127.0.0.1", 0), storage=("127.0.0.2", 0), token="fake-token",
                 ghes=False, lifetime=60.0, tls=None, store=("127.0.0.3", 0)):
        self.token = token
        self.world = World()
        self.storage = Storage(self.world, lifetime, ghes)
        self.api = Api(self.world, self.storage, ghes)
        self.faults = Faults()
        self.store = Store()
        self.hops = {"api": Hop("api", api), "storage": Hop("storage", storage),
                     "store": Hop("store", store), "control": Hop("control", (api[0], 0))}
        if tls:
            for name in ("api", "storage", "store"):
                self.set_certificate(name, *tls)
        self.api.at_once = lambda: self.hops["api"].active
        self.world.set_token(token)
        self.tasks = set()
        self.accepting = {}             # name of a hop -> the task that accepts
        self.timers = {}                # name of a hop -> when it accepts again
        self.connection_count = 0
        self.clear_log()

    def set_certificate(self, name, cert, key):
        """What new connections to this hop are shown. A session begun before is not resumed."""
        self.hops[name].tls = make_context(cert, key)

    # --- listening ---

    def start(self):
        """Bind and listen; needs a running loop. Returns what a client has to know."""
        for hop in self.hops.values():
            hop.bind()
            self.accept_again(hop.name)
        self.storage.base = self.hops["storage"].url
        root = self.hops["api"].url
        return {"api": root + self.api.prefix, "storage": self.storage.base, "root": root,
                "store": self.hops["store"].url,
                "control": self.hops["control"].url + "/_control", "token": self.token,
                "pid": os.getpid()}

    def accept_again(self, name):
        self._stop_timer(name)
        for sock in self.hops[name].blocking:
            sock.close()
        self.hops[name].blocking = []
        if name not in self.accepting:
            self.hops[name].socket.listen(BACKLOG)
            self.accepting[name] = asyncio.ensure_future(self._accept(self.hops[name]))

    def block(self, name):
        """Connections to this hop are neither accepted nor refused, until `accept_again`: the
        kernel's queue of those that wait is as short as can be, and full."""
        self.refuse(name)
        hop = self.hops[name]
        hop.socket.listen(0)
        hop.blocking = [socket.socket() for _ in range(2)]
        for sock in hop.blocking:
            sock.setblocking(False)
            sock.connect_ex(hop.address)

    def refuse(self, name, seconds=None, drop=False):
        """Connections to this hop are refused, for so long or until `accept_again`."""
        hop = self.hops[name]
        if name in self.accepting:
            self.accepting.pop(name).cancel()
        self._stop_timer(name)
        asyncio.get_running_loop().remove_reader(hop.socket.fileno())
        hop.socket.close()
        hop.bind()
        if drop:
            self.drop(name)
        if seconds is not None:
            loop = asyncio.get_running_loop()
            self.timers[name] = loop.call_later(seconds, self.accept_again, name)

    def _stop_timer(self, name):
        timer = self.timers.pop(name, None)
        if timer:
            timer.cancel()

    def drop(self, name):
        """End every connection of this hop, also those in use."""
        for connection in list(self.hops[name].connections):
            connection.task.cancel()

    async def _accept(self, hop):
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, _ = await loop.sock_accept(hop.socket)
            except OSError:             # out of descriptors, or a client that left at once
                await asyncio.sleep(0.05)
                continue
            self.connection_count += 1
            connection = hop.take(sock, self.connection_count)
            connection.task = asyncio.ensure_future(self._serve(connection))
            self.tasks.add(connection.task)
            connection.task.add_done_callback(self.tasks.discard)

    async def stop(self):
        for task in list(self.accepting.values()) + list(self.tasks):
            task.cancel()
        for hop in self.hops.values():
            hop.socket.close()
        await asyncio.sleep(0)

    # --- a connection's life ---

    async def _serve(self, connection):
        connection.hop.connections.add(connection)
        try:
            await connection.open()
            while await self._exchange(connection, await connection.read_head()):
                pass
            await connection.finish()
        except BadRequest as error:
            await connection.send(Answer.text(400, str(error)).head(False))
        except (Gone, OSError, asyncio.CancelledError):
            pass
        finally:
            connection.hop.connections.discard(connection)
            connection.close()

    async def _exchange(self, connection, request):
        """One request and its answer; false when the connection is not to be used again."""
        if connection.hop.name == "control" or request.path.startswith("/_control"):
            await connection.read_body(request)
            return await self._send_plain(connection, request, control.answer(self, request))
        request.hop = connection.hop.name
        if request.hop == "api" and self.storage.owns(request.path):
            request.hop = "storage"
        hop = self.hops[request.hop]
        hop.requests += 1
        hop.active += 1
        hop.most_active = max(hop.most_active, hop.active)
        entry = self._new_entry(connection, request)
        log = self.log  # what began before the log was cleared is not in the new one
        connection.body_sent = 0
        try:
            await self._read_body(connection, request, entry)
            answer = self._answer(request, entry)
            entry.update(status=answer.status, charged=request.charged, job=request.job_id)
            await self._delay(hop, request)
            return await self._send(connection, request, answer, hop)
        except (Gone, OSError, asyncio.CancelledError):
            entry["aborted"] = True
            raise
        finally:
            hop.active -= 1
            entry.update(bytes=connection.body_sent, t_end=time.monotonic())
            log.append(entry)

    async def _read_body(self, connection, request, entry):
        """To its end, unless the store needs no more than the head to refuse it."""
        fault = self.faults.take_upload(request)
        if fault:
            entry["fault"] = fault.number
        if request.hop != "store" or not self.store.refuses_unread(request):
            await connection.read_body(request, fault and upload_plan(fault))

    def _answer(self, request, entry):
        try:
            if request.hop == "storage":
                self.storage.locate(request)
                answer = self.storage.answer(request)
            elif request.hop == "store":
                answer = self.store.answer(request)
            else:
                answer = self.api.answer(request)
        except Exception:               # a fault of the server itself must be seen
            traceback.print_exc()
            return Answer.text(500, "the loopback GitHub failed")
        fault = self.faults.take(request)
        if fault is None:
            return answer
        entry["fault"] = fault.number
        return apply(fault, answer)

    @staticmethod
    async def _delay(hop, request):
        while (left := request.started + hop.latency - time.monotonic()) > 0:
            await asyncio.sleep(min(left, 0.25))    # it may be made shorter meanwhile

    # --- sending ---

    async def _send_plain(self, connection, request, answer):
        await connection.send(answer.head(request.keep_alive) + answer.body)
        return request.keep_alive

    async def _send(self, connection, request, answer, hop):
        plan = answer.plan
        if plan.cut_at == -1:
            await connection.cut(plan)
        keep = (request.keep_alive and not plan.close and not plan.no_length
                and answer.framing != "close")
        head = answer.head(keep)
        if plan.endless_head:
            await connection.send_forever(b"X-More: %s\r\n" % (b"m" * 100), head[:-2])
        if plan.drip_head:
            await connection.send_head_drip(head, *plan.drip_head)
            head = b""
        if request.method == "HEAD" or answer.status in (204, 304):
            await connection.send(head)
            return keep
        plain = (answer.source is None and answer.framing != "chunked"
                 and not answer.tail and answer.length <= SMALL_BODY and not hop.bandwidth)
        if plain and plan.cut_at is None and not plan.drip and not plan.extra and not plan.endless:
            await connection.send(head + answer.body)
            connection.body_sent = answer.length
            return keep
        await connection.send(head, socket.MSG_MORE if plan.cut_at is None else 0)
        await self._send_body(connection, answer, hop.bandwidth)
        if plan.endless:
            await connection.send_forever(b"more and more\n" * 1000)
        await connection.send(plan.extra)
        return keep

    async def _send_body(self, connection, answer, rate):
        plan = answer.plan
        chunked = answer.framing == "chunked"
        if plan.cut_at == 0:
            await connection.cut(plan)
        for piece in answer.pieces():
            before = connection.body_sent
            if plan.cut_at and plan.cut_at <= before + len(piece):
                at, plan.cut_at = plan.cut_at - before, None
                await self._send_part(connection, piece[:at], plan, rate, chunked)
                await connection.cut(plan)
                piece = piece[at:]
            await self._send_part(connection, piece, plan, rate, chunked)
        if chunked:
            await connection.send(b"0\r\n\r\n")

    @staticmethod
    async def _send_part(connection, piece, plan, rate, chunked):
        if not len(piece):
            return
        if chunked:
            await connection.send(b"%x\r\n" % len(piece), socket.MSG_MORE)
        if plan.drip:
            await connection.send_drip(piece, *plan.drip)
        elif rate:
            await connection.send_paced(piece, rate)
        else:
            await connection.send_piece(piece)
        if chunked:
            await connection.send(b"\r\n")

    # --- the access log ---

    def _new_entry(self, connection, request):
        given = request.headers.get("authorization")
        known = given is not None and any(token in given for token in self.world.tokens)
        if self._leaks(request):
            self.token_leaks += 1
        return {
            "t": request.started, "hop": request.hop, "method": request.method,
            "path": request.path, "query": sorted(request.query), "target": request.target,
            "range": request.headers.get("range"), "status": 0, "bytes": 0, "aborted": False,
            "had_authorization": given is not None, "authorization_known": known,
            "user_agent": request.headers.get("user-agent"),
            "if_none_match": request.headers.get("if-none-match"),
            "connection": connection.number, "charged": False, "job": None, "fault": None,
            "headers": request.headers,
        }

    def _leaks(self, request):
        """A token where none belongs: in any header that storage or the store sees, or in any URL.
        Or what proves an identity to the store, where the store is not."""
        headers = list(request.headers.values())
        if request.hop == "storage" and "authorization" in request.headers:
            return True
        tokens = [token for token in self.world.tokens if len(token) > SHORT_TOKEN]
        seen = [request.target] + ([] if request.hop == "api" else headers)
        if any(token in text for token in tokens for text in seen):
            return True
        return request.hop != "store" and any(
            word in text for word in self.store.proofs() for text in [request.target, *headers])

    def clear_log(self):
        self.log = []
        self.token_leaks = 0
        for hop in self.hops.values():
            hop.requests = 0
            hop.handshakes = dict.fromkeys(hop.handshakes, 0)
            hop.protocols = dict.fromkeys(hop.protocols, 0)
            hop.most_active = hop.active

    def counters(self):
        shown = {"token_leaks": self.token_leaks, "connections": self.connection_count,
                 "charged": sum(entry["charged"] for entry in self.log)}
        for name in ("api", "storage", "store"):
            hop = self.hops[name]
            shown[name] = {"requests": hop.requests, "active": hop.active,
                           "max_concurrent": hop.most_active, "open": len(hop.connections),
                           "handshakes": hop.handshakes, "protocols": hop.protocols,
                           "bytes": sum(e["bytes"] for e in self.log if e["hop"] == name)}
        return shown


if __name__ == "__main__":
    from fake.__main__ import main
    main()
