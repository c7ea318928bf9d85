"""Address of a cluster, and whether it answers where the environment says. Ray itself would try for ten minutes."""

from __future__ import annotations

import os
import socket

from perse.errors import InputError

VARIABLE = "RAY_ADDRESS"
PROBE_S = 5.0
HEALTH = "/grpc.health.v1.Health/Check"
NOT_GRPC = "Received http2 header with status"
"""gRPC's words for an HTTP server. Such proxies take every connection, for whatever address."""
LOCAL = "local"
"""Ray's word for a cluster of its own."""


def joined_address() -> str:
    """Address of a cluster to join; empty where there is none to join."""
    address = os.environ.get(VARIABLE, "").strip()
    return "" if address == LOCAL else address


def probe(address: str) -> None:
    """Find out within seconds.

    Raises:
        InputError: no cluster answers there, or it is no address of one.
    """
    if address == "auto":
        return  # Ray looks for it on this machine, and is quick
    if address.startswith(("http://", "https://")):
        raise InputError(f"{VARIABLE}={address} is a dashboard's address, for `ray job`; here it is unset or host:port")
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port[:9]) < 65536:
        raise InputError(f"{VARIABLE}={address} is no address of a Ray cluster; expected host:port, or unset it")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=PROBE_S):
            pass
    except (OSError, UnicodeError) as error:
        raise _nobody(address, getattr(error, "strerror", None) or str(error)) from None
    if not address.startswith("ray://") and os.environ.get("RAY_USE_TLS", "0") != "1" and not _speaks_grpc(address):
        raise _nobody(address, "something else listens on that port")


def _speaks_grpc(address: str) -> bool:
    import grpc

    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=PROBE_S)
            channel.unary_unary(HEALTH)(b"", timeout=PROBE_S)
        except grpc.FutureTimeoutError:
            return False
        except grpc.RpcError as answer:  # Ray without a token for it, too; a proxy of the network answers with a page
            return NOT_GRPC not in str(answer)
    return True


def _nobody(address: str, why: str) -> InputError:
    return InputError(
        f"no Ray cluster answers at {VARIABLE}={address} ({why}); start it, or unset {VARIABLE} to use this machine"
    )
