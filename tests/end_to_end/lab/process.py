"""One child process: started with its output in a file, ended by its own process id, its cost read from /proc."""
import os
import pathlib
import signal
import subprocess
import time

_TICKS = os.sysconf("SC_CLK_TCK")


def wait_until(condition, seconds, what, pause=0.05):
    """Waits until condition() is true and returns what it gave; raises TimeoutError naming `what`."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            raise TimeoutError(f"not within {seconds:g} s: {what() if callable(what) else what}")
        time.sleep(pause)


class Process:
    def __init__(self, argv, output, env=None, own_group=False, wrapper=()):
        self.argv = [str(a) for a in (*wrapper, *argv)]
        self.output = pathlib.Path(output)
        with open(self.output, "ab") as out:
            self.popen = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                          env={**os.environ, **(env or {})}, start_new_session=own_group)

    @property
    def pid(self):
        return self.popen.pid

    def alive(self):
        return self.popen.poll() is None

    def signal(self, number):
        if self.alive():
            self.popen.send_signal(number)

    def kill(self):
        """kill -9, and wait until it is gone."""
        self.signal(signal.SIGKILL)
        self.popen.wait()

    def stop(self, seconds=20):
        """SIGTERM, then after `seconds` SIGKILL. Returns the exit code."""
        if self.alive():
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
            try:
                self.popen.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.popen.returncode

    def wait(self, seconds):
        return self.popen.wait(seconds)

    def said(self):
        return self.output.read_text(errors="replace")


def _stat(pid):
    """(parent, own utime+stime, that of children already waited for) in ticks, or None when it is gone."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return int(fields[1]), int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])


def family(pid):
    """The process and everything below it that is alive."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            stat = _stat(entry)
            if stat:
                children.setdefault(stat[0], []).append(int(entry))
    found, todo = [], [pid]
    while todo:
        one = todo.pop()
        found.append(one)
        todo.extend(children.get(one, []))
    return found


def cpu_seconds(pid):
    """utime + stime of the process, of everything below it, and of what they have waited for."""
    total = 0
    for one in family(pid):
        stat = _stat(one)
        if stat:
            total += stat[1] + stat[2]
    return total / _TICKS


def resident_mb(pid):
    try:
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0
