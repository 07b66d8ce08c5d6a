"""A slow network between two parts: what the client sends comes later."""

import collections
import socket
import threading
import time


class Wire:
    """Listens on a port and passes everything on to another, what clients send after `delay` seconds."""

    def __init__(self, to_port):
        self.to_port, self.delay = to_port, 0.0
        self.door = socket.create_server(("127.0.0.1", 0))
        self.port = self.door.getsockname()[1]
        threading.Thread(target=self.take, daemon=True).start()

    def take(self):
        while True:
            client, _ = self.door.accept()
            try:
                server = socket.create_connection(("127.0.0.1", self.to_port))
            except OSError:
                client.close()
                continue
            threading.Thread(target=self.pass_on, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self.pass_on, args=(server, client, False), daemon=True).start()

    def pass_on(self, source, target, is_slow):
        waiting, open_still = collections.deque(), [True]

        def write():
            # What waits for its time is lost with the connection.
            while open_still[0]:
                if not waiting or waiting[0][0] > time.monotonic():
                    time.sleep(0.01)
                    continue
                target.sendall(waiting.popleft()[1])
            target.close()

        def quietly():
            try:
                write()
            except OSError:
                pass  # Whoever was to hear it is gone.
        threading.Thread(target=quietly, daemon=True).start()
        try:
            while chunk := source.recv(65536):
                waiting.append((time.monotonic() + (self.delay if is_slow else 0), chunk))
        except OSError:
            pass
        open_still[0] = False
