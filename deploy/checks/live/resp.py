"""Just enough of Redis's protocol to talk to the agent's port, and to Redis itself."""

import socket


class Refused(Exception):
    """The server answered with an error."""


class Client:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.file = self.socket.makefile("rb")

    def __call__(self, *words):
        words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        parts = [b"*%d\r\n" % len(words), *(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)]
        self.socket.sendall(b"".join(parts))
        answer = self.read()
        if isinstance(answer, Refused):
            raise answer
        return answer

    def read(self):
        line = self.file.readline()
        if not line:
            raise ConnectionError("the connection was closed")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            return Refused(rest.decode())
        if kind == b":":
            return int(rest)
        if int(rest) < 0:
            return None
        if kind == b"$":
            return self.file.read(int(rest) + 2)[:-2]
        return [self.read() for _ in range(int(rest))]
