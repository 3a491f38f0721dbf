"""A private Dovecot (Debian's dovecot-core) of which only the authentication server is used: own configuration, users and sockets in a
temporary folder, no port, nothing of the machine's own Dovecot."""
import os
import pathlib
import shutil
import signal
import socket
import tempfile

from .process import Process, wait_until

_CONFIG = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
protocols = none
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_mechanisms = {mechanisms}
auth_failure_delay = 0 secs
passdb {{
  driver = passwd-file
  args = username_format=%u {folder}/users
}}
service auth {{
  unix_listener {folder}/auth {{
    mode = 0666
  }}
}}
"""


def why_not():
    """Why Dovecot cannot run here, or None."""
    if not shutil.which("dovecot"):
        return "Dovecot is not installed"
    if os.geteuid() != 0:
        return "Dovecot's master needs root"
    return None


class Dovecot:
    """`users`: {name: password}."""

    def __init__(self, users, mechanisms="plain login scram-sha-256"):
        # Its own user must get there, and names of Unix sockets are short.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="umbra-dovecot-"))
        self.folder.chmod(0o755)
        self.socket = self.folder / "auth"
        (self.folder / "users").write_text("".join(f"{name}:{{PLAIN}}{password}\n" for name, password in users.items()))
        (self.folder / "dovecot.conf").write_text(_CONFIG.format(folder=self.folder, mechanisms=mechanisms))
        self.process = None

    def start(self):
        self.process = Process(["dovecot", "-F", "-c", self.folder / "dovecot.conf"], self.folder / "dovecot.out", own_group=True)
        wait_until(self._listens, 20, lambda: f"Dovecot: {self.process.said()[-2000:]} {self.log_text()[-2000:]}")
        return self

    def _listens(self):
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.socket)) == 0

    def log_text(self):
        log = self.folder / "dovecot.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def end(self):
        """Stops; the folder stays, and start() may follow."""
        if self.process:
            self.process.stop()
            # Its authentication server would go on for those who are connected.
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process = None

    def stop(self):
        self.end()
        shutil.rmtree(self.folder, ignore_errors=True)
