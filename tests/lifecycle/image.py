"""The image of the emulator: a folder with the programs, the libraries they are linked with and the few files of /etc that a libc looks at.
Which program is the entry point is read from the Dockerfile."""
import json
import pathlib
import re
import shutil
import subprocess

from lab import places

PROGRAM, USER = "/usr/bin/umbra", 10025
# What the chart's test pods and its reload container call; the real image has them from Debian.
TOOLS = ("bash", "cat", "find", "grep", "rm", "sha256sum", "sleep", "sort")


def entry_point():
    """The ENTRYPOINT of the Dockerfile's last stage; the chart's command is what counts where there is one."""
    dockerfile = places.ROOT / "Dockerfile"
    found = re.findall(r"^ENTRYPOINT\s+(\[.*\])\s*$", dockerfile.read_text(), re.MULTILINE) if dockerfile.exists() else []
    return json.loads(found[-1]) if found else [PROGRAM]


def libraries(program):
    listed = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=True).stdout
    return sorted(set(re.findall(r"(/\S+) \(0x", listed)))


def build(folder):
    """Makes `folder` anew."""
    folder = pathlib.Path(folder)
    shutil.rmtree(folder, ignore_errors=True)
    programs = {entry_point()[0]: places.UMBRA, "/usr/bin/umbra-load": places.UMBRA_LOAD, **{f"/usr/bin/{name}": shutil.which(name) for name in TOOLS}}
    for name in ("etc", "tmp", "run", "var", "proc", "dev", "usr/bin", "usr/lib"):
        (folder / name).mkdir(parents=True)
    for name in ("bin", "lib", "lib64", "sbin"):
        target = "usr/" + {"sbin": "bin", "lib64": "lib"}.get(name, name)
        (folder / name).symlink_to(target)
    for target, program in programs.items():
        place = folder / target.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["strip", "-o", str(place), str(program)], check=True)
        for library in libraries(program):
            # The loader looks in /lib64 for itself and in the folders of Debian for the others; both are links to or below /usr/lib.
            copy = folder / ("usr/lib" if library.startswith("/lib64/") else "usr/lib/x86_64-linux-gnu") / pathlib.Path(library).name
            if not copy.exists():
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(library, copy)
    (folder / "etc/passwd").write_text(f"root:x:0:0:root:/:/bin/false\numbra:x:{USER}:{USER}:Umbra:/var/lib/umbra:/bin/false\n")
    (folder / "etc/group").write_text(f"root:x:0:\numbra:x:{USER}:\n")
    (folder / "usr/bin/sh").symlink_to("bash")
    (folder / "tmp").chmod(0o1777)
    (folder / "etc/nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\n")
    return folder
