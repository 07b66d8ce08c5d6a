"""An application for the agent to load from and write to, which fails when it is told to.

usage: application.py MOODS SOCKET STUBS

It runs in the Python that deploy/clients sets up. Each line of the file MOODS names a cache, and
says `fails`, `slow`, `refuses`, or what all its rows hold; it is read anew at each call.
"""

import pathlib
import sys
import time
from concurrent import futures

import grpc

sys.path.insert(0, sys.argv[3])
from cacheaside.v1 import loader_pb2, loader_pb2_grpc  # noqa: E402

moods = pathlib.Path(sys.argv[1])


def mood(cache):
    """fails, slow, refuses, or what its rows hold."""
    for line in moods.read_text().splitlines():
        name, _, what = line.partition(" ")
        if name == cache:
            return what
    return "1"


class Application(loader_pb2_grpc.LoaderServiceServicer):
    def load(self, cache, context):
        what = mood(cache)
        if what == "fails":
            context.abort(grpc.StatusCode.UNAVAILABLE, "the database is away")
        if what == "slow":
            time.sleep(1)
        return loader_pb2.Loaded(value=what.encode())

    def Load(self, request, context):
        return loader_pb2.LoadResponse(loaded=self.load(request.cache, context))

    def BatchLoad(self, request, context):
        one = self.load(request.cache, context)
        return loader_pb2.BatchLoadResponse(loaded=[one] * len(request.wanted))

    def BatchStore(self, request, context):
        what = mood(request.cache)
        if what == "fails":
            context.abort(grpc.StatusCode.UNAVAILABLE, "the database is away")
        if what == "refuses":
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "a constraint says no")
        stored = loader_pb2.Stored(as_sent=loader_pb2.Stored.AsSent())
        return loader_pb2.BatchStoreResponse(stored=[stored] * len(request.writes))


server = grpc.server(futures.ThreadPoolExecutor(16))
loader_pb2_grpc.add_LoaderServiceServicer_to_server(Application(), server)
server.add_insecure_port(f"unix:{sys.argv[2]}")
server.start()
server.wait_for_termination()
