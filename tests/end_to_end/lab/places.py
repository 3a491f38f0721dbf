"""Where the programs are, and which ports are free."""
import os
import pathlib
import random
import socket

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILD = pathlib.Path(os.environ.get("UMBRA_BUILD", ROOT / "build" / "release")).resolve()
UMBRA = BUILD / "hub" / "umbra"
UMBRA_LOAD = BUILD / "load" / "umbra-load"

# Below the kernel's range for outgoing connections (32768 and up), so that no client socket sits on a port that was
# chosen and is bound a moment later.
_first, _last = (int(n) for n in os.environ.get("UMBRA_PORTS", "20000-31999").split("-"))
_given = set()


def free_port():
    """A loopback port that nobody listens on; never the same twice in one process."""
    while True:
        port = random.randint(_first, _last)
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port
