"""Which files a slow check has passed already, so that the check runs only over what has changed since.

A file passed "as it is" when it, all that it includes from this tree, the words of the command, the tool and the libraries that Debian
gave us were the same. What passed is kept beside ccache's objects, in $XDG_CACHE_HOME/umbra/checked (~/.cache), and forgotten after
thirty days of not being asked for.
"""
import concurrent.futures
import functools
import hashlib
import os
import pathlib
import re
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILT = ROOT / "build/release"  # headers that the build makes
INCLUDE = re.compile(rb'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)
KEPT_SECONDS = 30 * 24 * 3600


def jobs():
    return int(subprocess.run([ROOT / "scripts/jobs"], capture_output=True, text=True, check=True).stdout)


@functools.cache
def _read(path):
    """Content's digest, and what it includes from this tree or the build."""
    content = path.read_bytes()
    found = []
    for name in INCLUDE.findall(content):
        places = (folder / name.decode() for folder in (ROOT, BUILT, path.parent))
        found += [place for place in places if place.is_file()][:1]
    return hashlib.sha256(content).hexdigest(), found


def _closure(path):
    seen, open_ = {path}, [path]
    while open_:
        for one in _read(open_.pop())[1]:
            if one not in seen:
                seen.add(one)
                open_.append(one)
    return sorted(seen)


class CheckedBefore:
    def __init__(self, tool):
        self.folder = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "umbra" / "checked"
        self.folder.mkdir(parents=True, exist_ok=True)
        version = subprocess.run([tool, "--version"], capture_output=True, text=True, check=True).stdout
        libraries = subprocess.run(["dpkg-query", "--show", "*-dev"], capture_output=True, text=True, check=True).stdout
        rules = (ROOT / ".clang-tidy").read_text()
        self.common = "\n".join((version, libraries, rules))
        for one in self.folder.iterdir():
            if time.time() - one.stat().st_mtime > KEPT_SECONDS:
                one.unlink(missing_ok=True)

    def _mark(self, path, command):
        words = [word.replace(str(ROOT), "") for word in command]
        parts = [self.common, *words, *(f"{one.relative_to(ROOT)} {_read(one)[0]}" for one in _closure(path))]
        return self.folder / hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def run(self, commands, flags=None):
        """{path: command} -> [(path, exit code, what it said)] of those that did not pass in silence, and how many had passed before.
        `flags`: path -> words that the tool gets by another way than its command."""
        marks = {path: self._mark(path, command + (flags or {}).get(path, [])) for path, command in commands.items()}
        known = [path for path, mark in marks.items() if mark.exists()]
        for path in known:
            marks[path].touch()
        left = [path for path in commands if path not in set(known)]

        def one(path):
            done = subprocess.run(commands[path], cwd=ROOT, capture_output=True, text=True, check=False)
            said = done.stdout + (done.stderr if done.returncode else "")
            if done.returncode == 0 and not said.strip():
                marks[path].touch()
                return None
            return path, done.returncode, said

        with concurrent.futures.ThreadPoolExecutor(jobs()) as pool:
            return [bad for bad in pool.map(one, left) if bad], len(known)
