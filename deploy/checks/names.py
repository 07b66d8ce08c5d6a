"""Runs the invalidator of an image, chrooted, with a server of names that knows one name.

usage: names.py IMAGE-FOLDER

Ends with 1 unless the program asked for the name in its settings and came to the address that it
was told.
"""

import os
import pathlib
import socket
import stat
import struct
import subprocess
import sys
import threading

RESOLVER, SERVER = "127.0.0.53", "127.0.0.54"  # on loopback, and nobody's
NAME = "servers.test"
SETTINGS = f"""
[l2]
kind = "single"
urls = ["redis://{NAME}:6379"]
[bus]
url = "nats://{NAME}:4222"
"""
RULES = """
[source]
stream = "CDC"
[[rule]]
table = "public.users"
cache = "users"
keys = ["user:{id}"]
"""
folder = pathlib.Path(sys.argv[1])
asked, came = set(), threading.Event()


def answer(names):
    """Answers A with SERVER, everything else with nothing."""
    while True:
        query, whom = names.recvfrom(512)
        end = query.index(b"\0", 12) + 5
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode())
            at += 1 + query[at]
        asked.add(".".join(labels))
        is_address = query[end - 4 : end - 2] == b"\0\1"
        head = query[:2] + struct.pack("!HHHHH", 0x8180, 1, is_address, 0, 0)
        found = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + socket.inet_aton(SERVER)
        names.sendto(head + query[12:end] + found * is_address, whom)


def take(server):
    server.accept()
    came.set()


names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
names.bind((RESOLVER, 53))
threading.Thread(target=answer, args=(names,), daemon=True).start()
for port in (6379, 4222):
    server = socket.create_server((SERVER, port))
    threading.Thread(target=take, args=(server,), daemon=True).start()

# What every container is given beside its image.
(folder / "dev").mkdir(exist_ok=True)
for name, minor in (("random", 8), ("urandom", 9)):
    os.mknod(folder / "dev" / name, stat.S_IFCHR | 0o666, os.makedev(1, minor))
(folder / "etc/resolv.conf").write_text(f"nameserver {RESOLVER}\n")
(folder / "etc/invalidator.toml").write_text(SETTINGS)
(folder / "etc/rules.toml").write_text(RULES)
program = ["/usr/local/bin/invalidator", "lag", "--config", "/etc/invalidator.toml"]
ran = subprocess.Popen(program + ["--rules", "/etc/rules.toml"], preexec_fn=lambda: os.chroot(folder))
found = came.wait(20)
ran.kill()
ran.wait()
if not found:
    sys.exit(f"nobody came to {SERVER}; asked for {sorted(asked)}")
if NAME not in asked:
    sys.exit(f"it came without asking for {NAME}")
