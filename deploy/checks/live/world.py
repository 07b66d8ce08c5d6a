"""A whole small deployment on free ports of loopback, whose parts can be ended, stopped and begun
again one by one: Redis, NATS, PostgreSQL, capture, invalidator, agents and Prometheus.

Processes are ended by their pid, also when the check is interrupted.
"""

import atexit
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

PATIENCE = 30


class Trouble(Exception):
    """What a check found."""


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def until(what, condition, seconds=PATIENCE):
    """Waits for a condition; what it said last is what is told when it does not come."""
    end = time.monotonic() + seconds
    while not (said := condition()):
        if time.monotonic() > end:
            raise Trouble(f"not within {seconds} s: {what}")
        time.sleep(0.05)
    return said


def listens(port):
    with socket.socket() as asking:
        asking.settimeout(1)
        return asking.connect_ex(("127.0.0.1", port)) == 0


def fetch(address, path):
    """The text at a path, or nothing if nobody answers as asked."""
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=5) as answer:
            return answer.read().decode()
    except OSError:
        return None


class Part:
    """One process, with what it is started by."""

    def __init__(self, name, command, folder, env=None, user=None):
        self.name, self.command, self.env, self.user = name, [str(word) for word in command], env, user
        self.log = folder / f"{name}.log"
        self.process = None

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                env={**os.environ, **(self.env or {})}, user=self.user)

    def tell(self, number):
        self.process.send_signal(number)

    def end(self, number=signal.SIGTERM):
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGCONT)
        self.process.send_signal(number)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class World:
    """All of it. What it needs of the system is looked for first."""

    def __init__(self, folder, programs):
        self.folder, self.programs = pathlib.Path(folder), pathlib.Path(programs)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.folder.chmod(0o755)
        self.parts = {}
        self.ports = {name: free_port() for name in (
            "redis", "nats", "postgres", "agent", "resp", "invalidator", "capture", "prometheus", "skewed")}
        atexit.register(self.end)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    def at(self, name):
        return f"127.0.0.1:{self.ports[name]}"

    def start(self, name, *command, env=None, user=None, ready=None):
        """Starts a part, or starts it again, and waits until it is ready."""
        if command:
            self.parts[name] = Part(name, command, self.folder, env, user)
        part = self.parts[name]
        part.start()
        ready = ready or (lambda: listens(self.ports[name]))

        def is_up():
            if part.process.poll() is not None:
                raise Trouble(f"{name} ended at once:\n{tail(part.log)}")
            return ready()
        try:
            until(f"{name} is up", is_up)
        except Trouble as trouble:
            raise Trouble(f"{trouble}\n{tail(part.log)}") from None
        return part

    def end(self):
        for part in reversed(list(self.parts.values())):
            part.end(signal.SIGTERM if part.name in ("postgres", "prometheus") else signal.SIGKILL)

    def run(self, program, *arguments, check=True):
        """One of this project's commands, to its end."""
        command = [str(self.programs / program), *map(str, arguments)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
        if check and ended.returncode != 0:
            raise Trouble(f"{' '.join(command)}: {ended.stderr or ended.stdout}")
        return ended

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text)
        return path

    # --- the parts ---------------------------------------------------------------

    def redis(self):
        folder = self.folder / "redis"
        folder.mkdir(exist_ok=True)
        self.start("redis", "redis-server", "--port", self.ports["redis"], "--bind", "127.0.0.1",
                   "--dir", folder, "--save", "", "--appendonly", "no",
                   "--maxmemory", "64mb", "--maxmemory-policy", "volatile-lfu")

    def nats(self):
        server = os.environ.get("NATS_SERVER", "nats-server")
        self.start("nats", server, "-a", "127.0.0.1", "-p", self.ports["nats"], "-js", "-sd", self.folder / "nats")

    def postgres(self):
        home = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        initdb = home[-1] if home else pathlib.Path(shutil.which("initdb") or "initdb")
        data = self.folder / "postgres"
        data.mkdir()
        user = None
        if os.getuid() == 0:
            shutil.chown(data, "postgres", "postgres")
            user = "postgres"
        subprocess.run([initdb, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-D", data],
                       check=True, capture_output=True, user=user, cwd="/")
        self.start("postgres", initdb.with_name("postgres"), "-D", data, "-p", self.ports["postgres"],
                   "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "wal_level=logical",
                   "-c", "fsync=off", "-c", "max_wal_size=4GB", user=user, ready=self.postgres_answers)

    def postgres_answers(self):
        return self.psql("select 1", check=False).returncode == 0

    def psql(self, statement, check=True):
        ended = subprocess.run(
            ["psql", "-qAt", "-h", "127.0.0.1", "-p", str(self.ports["postgres"]), "-U", "postgres",
             "-v", "ON_ERROR_STOP=1", "-c", statement], capture_output=True, text=True, timeout=60)
        if check and ended.returncode != 0:
            raise Trouble(f"{statement}: {ended.stderr}")
        return ended

    def program(self, name, program, *arguments, env=None, prefix=()):
        """One of this project's services; ready when its `/ready` says so."""
        return self.start(name, *prefix, self.programs / program, *arguments, env=env,
                          ready=lambda: fetch(self.at(name), "/ready") is not None)

    def scrape(self, name):
        text = fetch(self.at(name), "/metrics")
        if text is None:
            raise Trouble(f"{name} shows no metrics")
        return text


def tail(path, lines=25):
    return "\n".join(pathlib.Path(path).read_text(errors="replace").splitlines()[-lines:])


def names_in(scrape):
    """The names of all series of a scrape, as queries use them."""
    return set(re.findall(r"^([a-z_:][a-z0-9_:]*)[{ ]", scrape, re.MULTILINE))
