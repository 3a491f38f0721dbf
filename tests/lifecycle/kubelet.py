"""One pod as its kubelet sees it, from its network to its end: init containers, the container with its restarts, probes, preStop, SIGTERM,
the grace that counts from the order to delete and includes the hook, SIGKILL, and the termination message.

Each pod has a thread; delete() and vanish() come from others. Only pods with one container (and init containers) are emulated.
"""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid

import container_spec
import volumes
from lab.process import wait_until
from namespaces import FOLDER, Place, _run
from probes import Probes

RUNTIME = pathlib.Path(__file__).with_name("container.py")
LEAST_AFTER_HOOK = 2  # seconds that the process has after SIGTERM, though the hook has used up the grace


class Ending:
    """How a pod ended: seconds and exit codes, and what it wrote into its termination log."""

    def __init__(self, pod):
        self.pod, self.revision = pod.name, pod.revision
        self.hook_seconds = self.hook_code = self.hook_said = self.stop_seconds = self.code = None
        self.was_killed, self.message = False, ""

    def __str__(self):
        hook = "no hook" if self.hook_seconds is None else f"preStop {self.hook_seconds:.1f} s, exit {self.hook_code}"
        end = f"SIGKILL after {self.stop_seconds:.1f} s" if self.was_killed else f"ended {self.stop_seconds:.1f} s after SIGTERM with {self.code}"
        return f"{self.pod}: {hook}; {end}; {' '.join(self.message.split()) or 'no message'}"


class Pod:
    def __init__(self, cluster, name, template, revision, node, *, ordinal=None):
        self.cluster, self.name, self.ordinal, self.revision, self.node = cluster, name, ordinal, revision, node
        self.spec = template["spec"]
        self.labels = {**(template["metadata"].get("labels") or {}), "statefulset.kubernetes.io/pod-name": name,
                       "apps.kubernetes.io/pod-index": str(ordinal)}
        self.annotations = template["metadata"].get("annotations") or {}
        self.uid = str(uuid.uuid4())
        self.number = next(cluster.pod_numbers)
        self.folder = cluster.folder / "pods" / f"{name}-{self.number}"
        self.folder.mkdir(parents=True)
        self.place, self.address = None, None
        self.is_ready, self.ready_since, self.begun = False, None, time.monotonic()
        self.became_ready_after = None
        self.deleted_at, self.is_gone, self.restarts, self.ending = None, False, 0, None
        self.problem = None
        self._grace, self._is_cut_off = None, False
        self._pid, self._runner, self._spec_file, self._lock = None, None, None, threading.Lock()
        account = cluster.object("ServiceAccount", self.spec.get("serviceAccountName", "default")) or {}
        self.has_token = self.spec.get("automountServiceAccountToken", account.get("automountServiceAccountToken", True))
        self._thread = threading.Thread(target=self._live, name=name, daemon=True)
        self._thread.start()

    # -- files -------------------------------------------------------------------------------------------------------------

    @property
    def network_file(self):
        return FOLDER / self.place.namespace

    @property
    def token_folder(self):
        folder = self.folder / "token"
        if not folder.exists():
            folder.mkdir()
            (folder / "token").write_text(self.cluster.api.token(self.spec.get("serviceAccountName", "default")))
            (folder / "ca.crt").write_bytes(self.cluster.api.ca.read_bytes())
            (folder / "namespace").write_text(self.cluster.namespace)
        return folder

    def termination_file(self, container):
        file = self.folder / f"termination-{container['name']}"
        if not file.exists():
            file.touch()
            file.chmod(0o666)
        return file

    @property
    def log(self):
        return self.folder / "log"

    def _container(self):
        if len(self.spec["containers"]) != 1:
            raise ValueError("pods with several containers are not emulated: " + ", ".join(one["name"] for one in self.spec["containers"]))
        return self.spec["containers"][0]

    # -- life --------------------------------------------------------------------------------------------------------------

    def _live(self):
        try:
            self._network()
            made = volumes.make(self, self.folder / "volumes")
            for container in self.spec.get("initContainers") or ():
                code = self._start(container, made).wait()
                if code != 0:
                    raise RuntimeError(f"init container {container['name']} ended with {code}: {self.log.read_text(errors='replace')[-500:]}")
            container = self._container()
            while self.deleted_at is None and not self._is_cut_off:
                self._run_once(container, made)
                if self.spec.get("restartPolicy", "Always") == "Never":
                    break
                if self.deleted_at is None and not self._is_cut_off:
                    self.restarts += 1
                    self._pause(min(10 * 2 ** (self.restarts - 2), 300) if self.restarts > 1 else 0)
        except Exception as error:  # a pod that cannot be run is a finding of the run, which looks at `problem`
            self.problem = f"{type(error).__name__}: {error}"
        finally:
            self._set_ready(False)
            if not self._is_cut_off:
                self._wait_for_end()
                self._remove_network()
                self.is_gone = True

    def _wait_for_end(self):
        """The hook may outlive the process: a pod is gone when both have ended."""
        while self.ending is None and self.deleted_at is not None:
            time.sleep(0.02)

    def _pause(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.deleted_at is None and not self._is_cut_off:
            time.sleep(0.05)

    def _network(self):
        self.place = Place(self.cluster.network, f"p{self.number}", self.number)
        self.address = self.place.host
        _run("ip", "-n", self.place.namespace, "route", "add", "default", "via", self.cluster.network.host)
        (self.folder / "hosts").write_text(f"127.0.0.1 localhost\n{self.address} {self.name}.{self.cluster.headless_domain(self)} {self.name}\n")
        (self.folder / "hostname").write_text(self.name + "\n")
        search = f"{self.cluster.namespace}.svc.cluster.local svc.cluster.local cluster.local"
        (self.folder / "resolv.conf").write_text(f"search {search}\nnameserver {self.cluster.network.host}\noptions ndots:5\n")

    def _remove_network(self):
        if self.place:
            _run("ip", "netns", "delete", self.place.namespace, check=False)

    def _start(self, container, made):
        spec = container_spec.make(self, container, made)
        pathlib.Path(spec["pid_file"]).unlink(missing_ok=True)
        self._spec_file = self.folder / container["name"] / "spec.json"
        self._spec_file.write_text(json.dumps(spec, indent=1))
        with open(self.log, "ab") as out:
            # The container ends with this thread, and so with the run.
            return subprocess.Popen([sys.executable, str(RUNTIME), "run", str(self._spec_file)], stdin=subprocess.DEVNULL, stdout=out, stderr=out)

    def _run_once(self, container, made):
        """The container from its start to its end; probes meanwhile."""
        self._runner = self._start(container, made)
        pid_file = self._spec_file.with_name("pid")
        wait_until(lambda: pid_file.exists() or self._runner.poll() is not None, 20, f"the process of {self.name}")
        with self._lock:
            self._pid = int(pid_file.read_text()) if pid_file.exists() else None
        probes = Probes(container, self.address)
        probes.begin()
        failed = None
        while self._runner.poll() is None and not self._is_cut_off:
            if failed is None:
                failed = probes.step(ending=self.deleted_at is not None)
                if failed:
                    self.cluster.say(f"{self.name}: the {failed} probe has failed, the container is restarted")
                    threading.Thread(target=self._stop_container, args=(container, Ending(self), self._grace_of_spec()), daemon=True).start()
            self._set_ready(probes.is_ready and failed is None)
            time.sleep(0.05)
        with self._lock:
            self._pid = None
        self._set_ready(False)

    def _set_ready(self, ready):
        if ready and not self.is_ready:
            self.ready_since = time.monotonic()
            self.became_ready_after = self.became_ready_after or self.ready_since - self.begun
        self.is_ready = ready

    def is_available(self, seconds):
        return self.is_ready and self.deleted_at is None and time.monotonic() - self.ready_since >= seconds

    # -- exec --------------------------------------------------------------------------------------------------------------

    def start_exec(self, argv):
        with self._lock:
            if self._pid is None:
                return None
            return subprocess.Popen([sys.executable, str(RUNTIME), "exec", str(self._spec_file), str(self._pid), *argv], stdin=subprocess.DEVNULL,
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def exec(self, argv, seconds=30):
        """(exit code, output) of a command in the container. TimeoutExpired after `seconds`."""
        process = self.start_exec(argv)
        if process is None:
            return 1, "the container does not run"
        try:
            said, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        return process.returncode, said

    # -- end ---------------------------------------------------------------------------------------------------------------

    def _grace_of_spec(self):
        return self.spec.get("terminationGracePeriodSeconds", 30)

    def delete(self):
        """The order to end; returns at once. Again: nothing."""
        if self.deleted_at is None:
            self.deleted_at = time.monotonic()
            if not self._is_cut_off:
                threading.Thread(target=self._end, daemon=True).start()

    def _end(self):
        ending = Ending(self)
        container = self._container()
        self._stop_container(container, ending, self._grace_of_spec())
        ending.message = self.termination_file(container).read_text(errors="replace")[:4096]
        self.ending = ending
        self.cluster.endings.append(ending)

    def _stop_container(self, container, ending, grace):
        begun = time.monotonic()
        hook = (container.get("lifecycle") or {}).get("preStop")
        if hook and self._pid is not None:
            self._hook(hook, ending, grace)
        left = max(begun + grace - time.monotonic(), LEAST_AFTER_HOOK)
        told = time.monotonic()
        self._signal(signal.SIGTERM)
        runner = self._runner
        if runner:
            try:
                ending.code = runner.wait(left)
            except subprocess.TimeoutExpired:
                ending.was_killed = True
                self._signal(signal.SIGKILL)
                ending.code = runner.wait(10)
        ending.stop_seconds = time.monotonic() - told

    def _hook(self, hook, ending, grace):
        begun = time.monotonic()
        if "sleep" in hook:
            time.sleep(min(hook["sleep"]["seconds"], grace))
            ending.hook_code = 0
        else:
            try:
                ending.hook_code, ending.hook_said = self.exec(hook["exec"]["command"], grace)
            except subprocess.TimeoutExpired:
                ending.hook_code = "unfinished"
        ending.hook_seconds = time.monotonic() - begun

    def _signal(self, number):
        with self._lock:
            if self._pid is not None:
                try:
                    os.kill(self._pid, number)
                except ProcessLookupError:
                    pass

    def kill(self):
        """The kernel ends the container, as it does when memory is short. Nothing else knows of it."""
        self._signal(signal.SIGKILL)

    def vanish(self):
        """Its node is gone: nothing of it answers any more, not even with a reset. What the API server knows of it stays."""
        self._is_cut_off = True
        if self.place:
            _run("ip", "link", "set", f"port{self.number}", "down", check=False)
        self._signal(signal.SIGKILL)
        if self._runner:
            self._runner.wait(10)

    def forget(self):
        """After vanish(): the node is back, or somebody has removed the pod by force."""
        self._thread.join(10)
        self._remove_network()
        self.is_gone = True

    def discard_folder(self):
        shutil.rmtree(self.folder, ignore_errors=True)
