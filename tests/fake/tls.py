"""A connection that speaks TLS: the same as a plain one, byte by byte, but for sendfile."""

import ssl

from fake.connection import Connection, Gone

# As the real hosts do. A client that takes the first is cut off; the counters show it.
OFFERED = ["h2", "http/1.1"]
RECORDS = 256 << 10             # handed to TLS at once: sixteen records of the largest size


def make_context(cert, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    context.set_alpn_protocols(OFFERED)
    return context


class SecureConnection(Connection):
    SCHEME = "https"

    def __init__(self, sock, hop, number, context):
        super().__init__(sock, hop, number)
        self.context = context

    async def _until_done(self, action, *arguments):
        """Try again with the same arguments, as TLS demands, until it neither reads nor writes."""
        while True:
            try:
                return action(*arguments)
            except ssl.SSLWantReadError:
                await self._ready(self.loop.add_reader, self.loop.remove_reader)
            except ssl.SSLWantWriteError:
                await self._writable()

    async def open(self):
        try:
            self.sock = self.context.wrap_socket(self.sock, server_side=True,
                                                 do_handshake_on_connect=False)
            await self._until_done(self.sock.do_handshake)
        except OSError:
            self.hop.handshakes["bad"] += 1
            raise
        self.hop.handshakes["good"] += 1
        self.hop.handshakes["resumed"] += self.sock.session_reused
        protocol = self.sock.selected_alpn_protocol() or "none"
        self.hop.protocols[protocol] += 1
        if protocol == "h2":
            raise Gone

    async def _more(self):
        data = await self._until_done(self.sock.recv, 256 << 10)
        if not data:
            raise Gone
        self.input += data

    async def send(self, data, flags=0):
        del flags               # there is nothing to say to TCP about records
        view = memoryview(data)
        while len(view):
            view = view[await self._until_done(self.sock.send, view[:RECORDS]):]

    async def _send_file(self, piece):
        for at in range(0, len(piece), RECORDS):
            data = piece[at:at + RECORDS].read()
            if not data:
                raise Gone
            await self.send(data)

    def _is_over(self):
        try:
            data = self.sock.recv(256 << 10)
        except ssl.SSLWantReadError:
            return False
        self.input += data
        return not data

    async def finish(self):
        """close_notify; the other side's is not waited for."""
        try:
            self.sock.unwrap()
        except OSError:
            pass
