"""A private Postfix: own configuration, queue and data folders, loopback ports, nothing of the machine's own Postfix."""
import os
import pathlib
import shutil
import signal
import stat
import subprocess
import tempfile

from . import places
from .load import listens
from .process import Process, wait_until

# What Debian's master.cf starts, without chroot and without what a relay does not use.
_SERVICES = """
127.0.0.1:{port} inet n - n - 200 smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - 200 smtp
relay unix - - n - 200 smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


def why_not():
    """Why Postfix cannot run here, or None."""
    if not shutil.which("postfix"):
        return "Postfix is not installed"
    if os.geteuid() != 0:
        return "Postfix's master needs root"
    return None


class Postfix:
    """A relay that sends everything to `next_hop` ("127.0.0.1:PORT")."""

    # A relay between trusted neighbours, tuned for throughput where that costs no safety: no delays that make the input wait
    # for the output, no limits per client, fifty kept connections out. Queue files are fsynced, as always.
    SETTINGS = {
        "in_flow_delay": "0",
        "default_process_limit": "200",
        "qmgr_message_active_limit": "20000",
        "qmgr_message_recipient_limit": "20000",
        "default_destination_concurrency_limit": "50",
        "initial_destination_concurrency": "50",
        "smtp_connection_cache_on_demand": "yes",
        "smtp_connection_reuse_time_limit": "300s",
        "smtpd_client_connection_count_limit": "0",
        "smtpd_client_connection_rate_limit": "0",
        "smtpd_peername_lookup": "no",
        "smtpd_tls_security_level": "none",
        "smtp_tls_security_level": "none",
        "smtpd_discard_ehlo_keywords": "",
        "message_size_limit": "52428800",
        "smtp_dns_support_level": "disabled",
        "smtp_host_lookup": "native",
        "alias_maps": "",
        "alias_database": "",
        "local_recipient_maps": "",
        "mydestination": "",
        "mynetworks": "127.0.0.0/8",
        "relay_domains": "",
        "smtpd_relay_restrictions": "permit_mynetworks, reject",
        "inet_protocols": "ipv4",
        "inet_interfaces": "127.0.0.1",
        "biff": "no",
        "append_dot_mydomain": "no",
    }

    def __init__(self, folder, next_hop, *, host_name="postfix.example", settings=None):
        self.folder = pathlib.Path(folder)
        # Its own user must get there, and a checkout may lie in a home that is root's alone.
        is_closed = any(not parent.stat().st_mode & stat.S_IXOTH for parent in self.folder.absolute().parents if parent.exists())
        # Names of Unix sockets in its queue must fit 107 octets, and checkouts lie deep at times.
        self.is_elsewhere = is_closed or len(str(self.folder)) > 70
        if self.is_elsewhere:
            self.folder = pathlib.Path(tempfile.mkdtemp(prefix="umbra-postfix-"))
            self.folder.chmod(0o755)
        self.port = places.free_port()
        self.next_hop = next_hop
        self.config = self.folder / "etc"
        self.queue = self.folder / "queue"
        self.data = self.folder / "data"
        self.log = self.folder / "maillog"
        self.host_name = host_name
        self.settings = {**self.SETTINGS, **(settings or {})}
        self.process = None
        self.master = None

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def start(self, wrapper=()):
        for path in (self.config, self.queue, self.data):
            path.mkdir(parents=True, exist_ok=True)
        shutil.chown(self.data, "postfix")
        host, port = self.next_hop.rsplit(":", 1)
        main = {
            "compatibility_level": "3.6",
            "queue_directory": self.queue,
            "data_directory": self.data,
            "mail_owner": "postfix",
            "setgid_group": "postdrop",
            "myhostname": self.host_name,
            "maillog_file": self.log,
            "maillog_file_prefixes": self.folder,
            "relayhost": f"[{host}]:{port}",
            **self.settings,
        }
        (self.config / "main.cf").write_text("".join(f"{key} = {value}\n" for key, value in main.items()))
        (self.config / "master.cf").write_text(_SERVICES.format(port=self.port))
        self.process = Process(["postfix", "-c", self.config, "start-fg"], self.folder / "postfix.out", own_group=True, wrapper=wrapper)
        wait_until(lambda: listens("127.0.0.1", self.port), 30, lambda: f"Postfix on {self.address}: {self.process.said()[-2000:]}")
        self.master = int((self.queue / "pid" / "master.pid").read_text())
        return self

    def queued(self):
        """Queue files of any state."""
        return sum(1 for name in ("incoming", "active", "deferred") for path in (self.queue / name).rglob("*") if path.is_file())

    def log_text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def stop(self):
        if not self.process:
            return
        # Postfix's own stop asks the master, which ends its children; the group is only for what would remain.
        subprocess.run(["postfix", "-c", str(self.config), "stop"], capture_output=True, check=False, timeout=60)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            if self.master:
                try:
                    os.kill(self.master, signal.SIGTERM)
                except ProcessLookupError:
                    pass
            self.process.kill()
        if self.is_elsewhere:
            shutil.rmtree(self.folder, ignore_errors=True)
