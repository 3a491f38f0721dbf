#!/usr/bin/env python3
"""A container's own side: what containerd and runc do, for one process at a time.

  container.py run SPEC                 starts the container that the JSON file SPEC describes; ends when it ends, with its exit code
  container.py exec SPEC PID COMMAND... runs a command in the namespaces of the running one whose first process is PID

The process is the first of a PID namespace, in a mount, UTS and IPC namespace of its own and in the network namespace of its pod. Its root
is an overlay of the image, read-only where the manifest says so, with the pod's volumes mounted where the manifest says; it has the user,
the groups and the capabilities of its securityContext. There are no cgroups and no seccomp filter: limits of memory and of system calls are
not emulated. Needs root; only the library of Python, since each start costs one interpreter.
"""
import ctypes
import json
import os
import pathlib
import signal
import sys

NEWNS, NEWUTS, NEWIPC, NEWPID, NEWNET = 0x00020000, 0x04000000, 0x08000000, 0x20000000, 0x40000000
RDONLY, NOSUID, NODEV, NOEXEC, REMOUNT, BIND, REC, PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
PDEATHSIG, CAPBSET_DROP, NO_NEW_PRIVS = 1, 24, 38
DEVICES = ("null", "zero", "full", "random", "urandom")

_libc = ctypes.CDLL(None, use_errno=True)


def _call(name, *arguments):
    if getattr(_libc, name)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), f"{name}{arguments}: {os.strerror(ctypes.get_errno())}")


def mount(source, target, kind=None, flags=0, data=None):
    words = [None if word is None else str(word).encode() for word in (source, target, kind)]
    _call("mount", *words, ctypes.c_ulong(flags), None if data is None else data.encode())


def bind(source, target, read_only):
    mount(source, target, flags=BIND | REC)
    if read_only:
        mount(None, target, flags=REMOUNT | BIND | RDONLY)


def _inside(root, path):
    return pathlib.Path(root) / str(path).lstrip("/")


def _mount_point(target, like):
    """An empty folder or file for what is mounted over it, in the writable layer as a runtime makes it."""
    if pathlib.Path(like).is_dir():
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()


def build_root(spec):
    """Everything under spec["root"], in the present mount namespace."""
    mount(None, "/", flags=REC | PRIVATE)
    root = pathlib.Path(spec["root"])
    layers = root.parent
    for name in ("upper", "work", root.name):
        (layers / name).mkdir(exist_ok=True)
    mount("overlay", root, "overlay", data=f"lowerdir={spec['image']},upperdir={layers}/upper,workdir={layers}/work")
    for name in ("proc", "dev"):
        (root / name).mkdir(exist_ok=True)
    mount("proc", root / "proc", "proc", NOSUID | NODEV | NOEXEC)
    mount("tmpfs", root / "dev", "tmpfs", NOSUID, "mode=755,size=64k")
    for name in DEVICES:
        (root / "dev" / name).touch()
        mount(f"/dev/{name}", root / "dev" / name, flags=BIND)
    (root / "dev" / "fd").symlink_to("/proc/self/fd")
    for volume in spec["mounts"]:
        # As runc does it: one after the other, so that a mount below a read-only one fails.
        _mount_point(_inside(root, volume["to"]), volume["from"])
        bind(volume["from"], _inside(root, volume["to"]), volume["read_only"])
    if spec["read_only"]:
        mount(None, root, flags=REMOUNT | BIND | RDONLY)


def become(spec):
    """User, groups and capabilities of the securityContext, for good."""
    if "ALL" in spec["drop"]:
        last = int(pathlib.Path("/proc/sys/kernel/cap_last_cap").read_text())
        for capability in range(last + 1):
            _call("prctl", CAPBSET_DROP, capability, 0, 0, 0)
    os.setgroups(spec["groups"])
    os.setresgid(*[spec["gid"]] * 3)
    os.setresuid(*[spec["uid"]] * 3)
    if spec["no_new_privileges"]:
        _call("prctl", NO_NEW_PRIVS, 1, 0, 0, 0)


def program(spec, argv):
    """Replaces this process by the container's command."""
    os.chdir(spec["directory"])
    os.umask(0o022)
    for number in (signal.SIGINT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvpe(argv[0], argv, {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", **spec["env"]})
    except OSError as error:
        print(f"container: {argv[0]}: {error.strerror}", file=sys.stderr, flush=True)
        os._exit(127)


def wait(child):
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code


def run(spec):
    with open(spec["network"], "rb") as network:
        _call("setns", network.fileno(), NEWNET)
    _call("unshare", NEWNS | NEWUTS | NEWIPC | NEWPID)
    child = os.fork()
    if child == 0:
        os.setsid()
        name = spec["host_name"].encode()
        _call("sethostname", name, len(name))
        build_root(spec)
        os.chroot(spec["root"])
        become(spec)
        _call("prctl", PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # a change of user takes it away, so it comes last
        program(spec, spec["argv"])
    # Written under another name first: who waits for it sees all of it.
    file = pathlib.Path(spec["pid_file"])
    file.with_suffix(".new").write_text(str(child))
    file.with_suffix(".new").rename(file)
    return wait(child)


def execute(spec, pid, argv):
    root = os.open(f"/proc/{pid}/root", os.O_RDONLY)
    spaces = [os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY) for kind in ("net", "uts", "ipc", "pid", "mnt")]
    for space in spaces:
        _call("setns", space, 0)
        os.close(space)
    child = os.fork()
    if child == 0:
        os.fchdir(root)
        os.chroot(".")
        os.close(root)
        become(spec)
        _call("prctl", PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        program(spec, argv)
    os.close(root)
    return wait(child)


def main():
    _call("prctl", PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    spec = json.loads(pathlib.Path(sys.argv[2]).read_text())
    if sys.argv[1] == "run":
        return run(spec)
    return execute(spec, int(sys.argv[3]), sys.argv[4:])


if __name__ == "__main__":
    sys.exit(main())
