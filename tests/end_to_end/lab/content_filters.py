"""Content filters: real rspamd and OpenDKIM (Debian's), and one that does whatever a test tells it to."""
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time

from . import places
from .process import Process, wait_until

RSPAMD = shutil.which("rspamd")
OPENDKIM = shutil.which("opendkim", path=os.environ.get("PATH", "") + ":/usr/sbin")
GENKEY = shutil.which("opendkim-genkey", path=os.environ.get("PATH", "") + ":/usr/sbin")

# What rspamd refuses, and what it marks, without knowing anything (documented as its GTUBE patterns). In pieces, so that this file is no spam.
GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*" + "GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
GTUBE_MARK = "YJS*C4JDBQADN1.NSBN3*2IDNEN*" + "GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Rspamd:
    """Scans by itself, with its own built-in rules only: no Redis, no DNS."""

    def __init__(self, folder, port=None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = port or places.free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.process = None
        # Its table of top-level domains takes half a minute to compile on a small machine.
        (self.folder / "domains").write_text("com\norg\nexample\n")
        (self.folder / "rspamd.conf").write_text(f"""
options {{
  pidfile = "{self.folder}/pid"; filters = ""; gtube_patterns = "all"; enable_test_patterns = true;
  url_tld = "{self.folder}/domains"; tempdir = "{self.folder}"; hs_cache_dir = "{self.folder}/";
  dns {{ nameserver = ["127.0.0.1:9"]; timeout = 1s; retransmits = 1; }}
}}
logging {{ type = "console"; level = "info"; }}
actions {{ reject = 15; add_header = 6; }}
worker "rspamd_proxy" {{
  bind_socket = "{self.address}"; milter = yes; timeout = 10s; count = 1;
  upstream "local" {{ default = yes; self_scan = yes; }}
}}
""")

    def start(self):
        self.process = Process([RSPAMD, "-f", "-i", "-c", self.folder / "rspamd.conf"], self.folder / "rspamd.out", own_group=True)
        wait_until(lambda: listens(self.port), 60, "rspamd listens")
        return self

    def stop(self):
        if self.process:
            self.process.stop()


class OpenDkim:
    """Signs (mode "s") or verifies ("v") at a Unix socket. Verifying takes the key from a file instead of DNS."""

    def __init__(self, folder, mode, domain="source.example", key=None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        # The kernel takes 107 octets for the name of a Unix socket.
        self.run = pathlib.Path(tempfile.mkdtemp(prefix="umbra-dkim-"))
        self.address = str(self.run / "filter.sock")
        self.process = None
        self.key = pathlib.Path(key or self.folder / "test.private")
        if key is None:
            subprocess.run([GENKEY, "-b", "2048", "-d", domain, "-s", "test", "-D", self.folder], check=True, timeout=60)
        lines = [f"Mode {mode}", "Syslog no", f"Domain {domain}", "Selector test", "Canonicalization relaxed/simple", "RequireSafeKeys no", "Background no"]
        if mode == "s":
            lines += [f"KeyFile {self.key}", "InternalHosts 127.0.0.0/8"]
        else:
            public = subprocess.run(["openssl", "rsa", "-in", self.key, "-pubout", "-outform", "PEM"], capture_output=True, text=True, check=True, timeout=30).stdout
            text = "".join(line for line in public.splitlines() if "-----" not in line)
            keys = self.folder / "public"
            keys.write_text(f"test._domainkey.{domain} v=DKIM1; k=rsa; p={text}\n")
            lines += [f"TestPublicKeys {keys}", "InternalHosts 192.0.2.1", "AlwaysAddARHeader yes", "AuthservID verifier.example"]
        (self.folder / "opendkim.conf").write_text("\n".join(lines) + "\n")

    def start(self):
        pathlib.Path(self.address).unlink(missing_ok=True)
        self.process = Process([OPENDKIM, "-f", "-x", self.folder / "opendkim.conf", "-p", f"local:{self.address}", "-P", self.run / "pid"],
                               self.folder / "opendkim.out")
        wait_until(lambda: pathlib.Path(self.address).exists() or not self.process.alive(), 20, "OpenDKIM listens")
        if not self.process.alive():
            raise RuntimeError((self.folder / "opendkim.out").read_text())
        return self

    def stop(self):
        if self.process:
            self.process.stop()
        shutil.rmtree(self.run, ignore_errors=True)


def packet(letter, data=b""):
    return struct.pack(">I", len(data) + 1) + letter.encode() + data


def negotiation(actions=0xff, protocol=0, version=6):
    return packet("O", struct.pack(">III", version, actions, protocol))


CONTINUE, ACCEPT, REJECT, TEMPFAIL, DISCARD = (packet(letter) for letter in "cartd")


def add_header(name, value):
    return packet("h", f"{name}\0{value}\0".encode())


class Filter:
    """A filter in Python. `answers` says by letter of the command what octets come back: bytes, "close", "hang", "at work", or a function of the command's
    data that gives one of these; what it does not name is answered with "continue". Everything that was said is in `said`."""

    def __init__(self, answers=None, port=None):
        self.port = port or places.free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.answers = answers or {}
        self.said = []
        self.connections = 0
        self._open = set()
        self._lock = threading.Lock()
        self._listener = None

    def start(self):
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=100)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()
        return self

    def stop(self):
        listener, self._listener = self._listener, None
        if not listener:
            return
        try:
            listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        listener.close()
        with self._lock:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def messages(self):
        """How many messages came to their end."""
        return sum(1 for letter, _ in self.said if letter == "E")

    def _accept(self, listener):
        while self._listener is listener:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with self._lock:
            self._open.add(connection)
        try:
            with connection, connection.makefile("rb") as octets:
                while self._answer(connection, octets):
                    pass
        except OSError:
            pass
        finally:
            with self._lock:
                self._open.discard(connection)

    def _answer(self, connection, octets):
        head = octets.read(5)
        if len(head) < 5:
            return False
        length, letter = struct.unpack(">Ic", head)
        letter = letter.decode()
        data = octets.read(length - 1)
        self.said.append((letter, data))
        if letter == "Q":
            return False
        answer = self.answers.get(letter, negotiation() if letter == "O" else None if letter in "DA" else CONTINUE)
        if callable(answer):
            answer = answer(data)
        if answer == "close":
            return False
        if answer in ("hang", "at work"):
            while self._listener:
                if answer == "at work":
                    connection.sendall(packet("p"))
                time.sleep(0.05)
            return False
        if answer:
            connection.sendall(answer)
        return True
