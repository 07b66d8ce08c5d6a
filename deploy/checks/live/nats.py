"""Just enough of NATS's protocol to put an event into a stream, and to change a stream."""

import json
import socket


class Client:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.file = self.socket.makefile("rb")
        self.file.readline()
        self.socket.sendall(b'CONNECT {"verbose":false,"pedantic":false}\r\nSUB answers.* 1\r\nPING\r\n')
        self.asked = 0

    def ask(self, subject, payload):
        """The answer to a request, as JSON; a stream answers what it has stored."""
        self.asked += 1
        inbox = f"answers.{self.asked}"
        head = b"PUB %s %s %d\r\n" % (subject.encode(), inbox.encode(), len(payload))
        self.socket.sendall(head + payload + b"\r\n")
        while True:
            line = self.file.readline().split()
            if not line:
                raise ConnectionError("NATS has closed the connection")
            if line[0] == b"PING":
                self.socket.sendall(b"PONG\r\n")
            elif line[0] == b"MSG":
                body = self.file.read(int(line[-1]) + 2)[:-2]
                if line[1] == inbox.encode():
                    return json.loads(body)

    def change_stream(self, name, **changes):
        """Sets limits of a stream, and returns those that it had."""
        config = self.ask(f"$JS.API.STREAM.INFO.{name}", b"")["config"]
        before = {key: config.get(key) for key in changes}
        changed = self.ask(f"$JS.API.STREAM.UPDATE.{name}", json.dumps(config | changes).encode())
        if "error" in changed:
            raise ConnectionError(changed["error"]["description"])
        return before
