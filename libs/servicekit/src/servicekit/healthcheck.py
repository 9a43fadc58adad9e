"""Whether a server is well, for engines that probe with a command: `python -m servicekit.healthcheck [--service live] [HOST:PORT]`.

Exits 0 when the gRPC health service answers SERVING, and 1 with the reason otherwise. It imports little, because it runs often.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

DEFAULT_ADDRESS: Final = "127.0.0.1:50051"
"""Where our images listen."""


def problem(address: str, *, service: str = "", ca: Path | None = None, timeout_s: float = 3.0) -> str | None:
    """Why the server at `address` is not SERVING, None when it is. With `ca` it is asked over TLS."""
    with _channel(address, ca) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            reply = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=timeout_s)
        except grpc.RpcError as error:
            return str(error.code().name)
    if reply.status == health_pb2.HealthCheckResponse.SERVING:
        return None
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(reply.status))


def _channel(address: str, ca: Path | None) -> grpc.Channel:
    if ca is None:
        return grpc.insecure_channel(address)
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(ca.read_bytes()))


def main(argv: Sequence[str]) -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m servicekit.healthcheck", description="Ask whether a server is well."
    )
    parser.add_argument("address", nargs="?", default=DEFAULT_ADDRESS)
    parser.add_argument(
        "--service", default="", help="'live' asks whether the process lives, the default whether it takes traffic"
    )
    parser.add_argument("--ca", type=Path, help="a certificate to trust; without it the server is asked without TLS")
    parser.add_argument("--timeout", type=float, default=3.0, metavar="SECONDS")
    given = parser.parse_args(argv)
    found = problem(given.address, service=given.service, ca=given.ca, timeout_s=given.timeout)
    if found:
        sys.stderr.write(f"{found}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
