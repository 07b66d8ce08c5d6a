"""Prints the first of 60 ports on loopback that are free, and those 10000 above them, too."""

import random
import socket


def is_free(port):
    with socket.socket() as probe:
        # As servers do: a port in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            return True
        except OSError:
            return False


# Below the range from which the system hands out ports of its own, and so are the buses.
for base in random.sample(range(10_000, 22_000, 60), 50):
    if all(is_free(port) and is_free(port + 10_000) for port in range(base, base + 60)):
        print(base)
        break
else:
    raise SystemExit("no 60 free ports in a row")
