"""A Debian with systemd as its first process: systemd-nspawn, in the mount, process and network namespaces of who calls.

The network is that of the caller, so that a test reaches the service by the loopback address and can be its next hop and its name server.
"""
import json
import pathlib
import shutil
import signal
import subprocess
import time
import urllib.request

from debian import PLACE, run


class CannotBoot(Exception):
    """systemd does not come up on this machine: a container without cgroups, an old kernel."""


class Booted:
    def __init__(self, archive):
        self.root, self.log = PLACE / "machine", PLACE / "machine.log"
        shutil.rmtree(self.root, ignore_errors=True)
        self.root.mkdir(parents=True)
        run("tar", "-C", self.root, "--exclude=./dev/*", "-xf", archive)
        # The test's name server, which the hub must find from within its sandbox.
        (self.root / "etc/resolv.conf").write_text("nameserver 127.0.0.1\n")
        # The journal outlives a reboot.
        (self.root / "var/log/journal").mkdir(exist_ok=True)
        self.spawned = None

    def boot(self):
        with open(self.log, "wb") as log:
            self.spawned = subprocess.Popen(
                ["systemd-nspawn", "--quiet", f"--directory={self.root}", "--machine=umbra-test", "--boot", "--register=no", "--keep-unit",
                 "--link-journal=no", "--resolv-conf=off", "--timezone=off", "--console=pipe"], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        self.wait_booted()

    def leader(self):
        """The process id of the machine's first process; None while there is none."""
        try:
            children = pathlib.Path(f"/proc/{self.spawned.pid}/task/{self.spawned.pid}/children").read_text().split()
        except OSError:
            return None
        return next((pid for pid in children if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == "systemd"), None)

    def wait_booted(self, seconds=60):
        """Until everything that starts at boot has started."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.spawned.poll() is not None:
                raise CannotBoot(f"systemd-nspawn ended with {self.spawned.returncode}: {self.log.read_text(errors='replace')[-500:].strip()}")
            if self.inside("systemctl", "is-system-running", check=False).stdout.strip() in ("running", "degraded"):
                return
            time.sleep(0.1)
        raise CannotBoot(f"systemd did not come up within {seconds} s: {self.log.read_text(errors='replace')[-500:].strip()}")

    def inside(self, *argv, check=True):
        leader = self.leader()
        if leader is None:
            return subprocess.CompletedProcess(argv, 1, "", "the machine is down")
        return run("nsenter", f"--target={leader}", "--mount", "--uts", "--ipc", "--pid", "--cgroup", "--", *argv, check=check)

    def reboot(self):
        """In order, from within; systemd-nspawn ends with 133 then, so that who started it does so again."""
        self.inside("systemctl", "reboot")
        code = self.spawned.wait(90)
        if code != 133:
            raise SystemExit(f"FAILED: a reboot ended systemd-nspawn with {code}")
        self.boot()

    def close(self):
        if self.spawned and self.spawned.poll() is None:
            self.spawned.send_signal(signal.SIGTERM)  # an orderly power-off
            try:
                self.spawned.wait(60)
            except subprocess.TimeoutExpired:
                self.spawned.kill()
        shutil.rmtree(self.root, ignore_errors=True)


class Service:
    """umbra.service of that machine."""

    def __init__(self, machine):
        self.machine, self.unit = machine, "umbra.service"

    def systemctl(self, *argv, check=True):
        return self.machine.inside("systemctl", *argv, self.unit, check=check)

    def shows(self, name):
        return self.systemctl("show", f"--property={name}", "--value").stdout.strip()

    def state(self):
        return self.shows("ActiveState")

    def main_process(self):
        """As the machine numbers it."""
        return int(self.shows("MainPID"))

    def process_file(self, name):
        """A file of /proc of the hub's process."""
        return self.machine.inside("cat", f"/proc/{self.main_process()}/{name}").stdout

    def drop_in(self, text):
        """`systemctl edit`: lines of [Service]; without any the unit is as packaged again."""
        folder = self.machine.root / "etc/systemd/system/umbra.service.d"
        shutil.rmtree(folder, ignore_errors=True)
        if text:
            folder.mkdir(parents=True)
            (folder / "override.conf").write_text("[Service]\n" + text)
        self.machine.inside("systemctl", "daemon-reload")

    def journal(self):
        return self.machine.inside("journalctl", "--no-pager", "--output=cat", f"--unit={self.unit}").stdout

    def umbra(self, *argv):
        """An operator's command."""
        return json.loads(self.machine.inside("umbra", *argv, "--output", "json").stdout)

    def is_ready(self):
        """Whether it takes mail."""
        try:
            with urllib.request.urlopen("http://127.0.0.1:9625/healthz/ready", timeout=5) as reply:
                return reply.status == 200
        except OSError:
            return False

    def queued(self):
        return self.umbra("status")["queue"]["messages"]
