"""What a figure was measured on: processor, disk, load, commit."""
import os
import pathlib
import platform
import re
import statistics
import subprocess
import time

from . import places


def machine(folder):
    cpu = re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    memory = int(re.search(r"MemTotal:\s*(\d+)", pathlib.Path("/proc/meminfo").read_text()).group(1)) / 1024 / 1024
    filesystem = subprocess.run(["stat", "-f", "-c", "%T", str(folder)], capture_output=True, text=True, check=False).stdout.strip()
    return {
        "cpu": cpu.group(1).strip() if cpu else platform.processor() or "unknown",
        "cores": os.cpu_count(),
        "memory_gb": round(memory),
        "kernel": platform.release(),
        "filesystem": filesystem,
        "fsync_us": fsync_us(folder),
    }


def fsync_us(folder):
    """Median time of a 4 KB append and fdatasync: what a disk costs here."""
    path = folder / f"fsync-probe-{os.getpid()}"
    times = []
    with open(path, "wb", buffering=0) as probe:
        for _ in range(200):
            begin = time.monotonic()
            probe.write(b"x" * 4096)
            os.fdatasync(probe.fileno())
            times.append((time.monotonic() - begin) * 1e6)
    path.unlink()
    return round(statistics.median(times))


def commit():
    done = subprocess.run(["git", "-C", str(places.ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def load_average():
    """Runnable processes over the last minute: on a machine that does nothing else, what the measurement itself makes."""
    return os.getloadavg()[0]
