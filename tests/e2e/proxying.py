"""A proxy on loopback that tunnels (CONNECT) for the given clients to the given places.

    with Proxy({"api.github.com:443": "127.0.0.1:4711"}) as proxy:
        ... proxy.url, then proxy.asked: ["api.github.com:443", ...]
"""

import socket
import threading


class Proxy:
    """`routes` leads targets elsewhere; `refuse` is a status for all, or {target: status}; `cuts`
    a list of how many bytes from the server the next connections live for; `need` the credentials
    to be given."""

    def __init__(self, routes=None, refuse=None, cuts=(), need=None):
        self.routes, self.refuse, self.cuts, self.need = routes or {}, refuse, list(cuts), need
        self.asked, self.plain, self.seen = [], [], []
        self.lock = threading.Lock()
        self.open = set()

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        self.url = "http://127.0.0.1:%d" % self.port
        self._start(self._accept)
        return self

    def __exit__(self, *_):
        for sock in [self.listener, *self.open]:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.listener.close()

    @staticmethod
    def _start(work, *arguments):
        threading.Thread(target=work, args=arguments, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self._start(self._serve, client)

    def _serve(self, client):
        with client:
            self.open.add(client)
            try:
                self._tunnel(client)
            except OSError:
                pass
            finally:
                self.open.discard(client)

    @staticmethod
    def _head(client):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            data = client.recv(1)
            if not data:
                raise ConnectionError
            head += data
        return head.decode("latin-1")

    def _tunnel(self, client):
        head = self._head(client)
        method, target, _ = head.split("\r\n")[0].split(" ")
        self.seen.append(head)
        if method != "CONNECT":
            self.plain.append(target)
            return self._say(client, 405, "Method Not Allowed")
        self.asked.append(target)
        refused = self.refuse.get(target) if isinstance(self.refuse, dict) else self.refuse
        if refused:
            return self._say(client, refused, "No")
        if self.need and "proxy-authorization: " + self.need.lower() not in head.lower():
            return self._say(client, 407, "Proxy Authentication Required")
        host, _, port = self.routes.get(target, target).rpartition(":")
        with socket.create_connection((host, int(port)), timeout=30) as server:
            server.settimeout(None)
            self.open.add(server)
            try:
                self._relay_both(client, server)
            finally:
                self.open.discard(server)

    def _relay_both(self, client, server):
        with self.lock:
            left = self.cuts.pop(0) if self.cuts else None
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        self._start(self._relay, client, server, None)
        self._relay(server, client, left)

    @staticmethod
    def _relay(source, to, left):
        """All that comes, or `left` bytes of it; then both sides hear that it is over."""
        try:
            while left is None or left > 0:
                data = source.recv(1 << 16)
                if not data:
                    break
                to.sendall(data[:left])
                left = left and max(0, left - len(data))
        except OSError:
            pass
        for sock in (source, to):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    @staticmethod
    def _say(client, status, word):
        client.sendall(b"HTTP/1.1 %d %s\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno\n"
                       % (status, word.encode()))
