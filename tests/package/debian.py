"""What the tests of the Debian package share: commands that must succeed, conditions that must hold, small Debians."""
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
PLACE = ROOT / "build" / "packages"
EXPOSURE_MAX = 2.0
CANNOT = 77


def run(*argv, check=True, **more):
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=300, check=False, **more)
    if check and done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, argv))}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def need(what, condition, saw=""):
    if not condition:
        raise SystemExit(f"FAILED: {what}: {saw}")
    print(f"  {what}", flush=True)


def exposure(said):
    """The level in what `systemd-analyze security` says."""
    return float(re.search(r"Overall exposure level for umbra.service: ([0-9.]+)", said)[1])


def make_archive(package, *others):
    """A minimal Debian with what the package needs, without the package, and with `others`; made once for a list of names, by the network."""
    needs = run("dpkg-deb", "--field", package, "Depends").stdout
    names = sorted({re.split(r"[ (|]", one.strip())[0] for one in needs.split(",")} | set(others))
    archive = PLACE / ("-".join(("root", *others)) + ".tar")
    note = archive.with_suffix(".packages")
    wanted = " ".join(names)
    if not archive.exists() or not note.exists() or note.read_text() != wanted:
        run("mmdebstrap", "--quiet", "--variant=minbase", "--include=" + ",".join(names), "bookworm", archive)
        note.write_text(wanted)
    return archive


def version_of(package):
    return run("dpkg-deb", "--field", package, "Version").stdout.strip()
