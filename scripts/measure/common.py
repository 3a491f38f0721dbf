"""What the figures share: a table with words around it, a cluster with its next hop, counts over several hubs."""
import contextlib
import shutil
import subprocess
import time

from lab import hub as hubs, load, places, process


class Figure:
    """One section of docs/figures.md. `run` measures and fills `header`, `rows` and `notes`; `numbers` keeps all of it."""

    key = ""
    title = ""
    about = ""  # how it is taken, in words

    def __init__(self, options, folder):
        self.options = options
        self.folder = folder
        self.header = []
        self.rows = []
        self.notes = []
        self.numbers = {}

    def run(self):
        raise NotImplementedError

    def say(self, text):
        print(f"figures: {self.key}: {text}", flush=True)

    def scaled(self, count):
        """`count` messages, or a tenth or hundredth of it with --quick."""
        return max(1, count // self.options.divide) if count else 0

    def place(self, name):
        """An empty folder."""
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    @staticmethod
    def why(error):
        """For a table: one line, without where this checkout lies."""
        return "could not run: " + str(error).replace(f"{places.ROOT}/", "").splitlines()[0][:150]

    def done_with(self, name):
        if not self.options.keep:
            shutil.rmtree(self.folder / name, ignore_errors=True)


@contextlib.contextmanager
def running(folder, size, next_hop, *, shadow="require", connections=20, delivery=None, prepare=None, **more):
    """A cluster of `size` hubs (one hub alone for 1) whose mail all goes to `next_hop`, as the defaults have it; prepare(hubs) may
    change that before they start."""
    routes = [hubs.route_to(next_hop, connections=connections)]
    if size == 1:
        hub = hubs.Hub(folder / "hub-1", "hub-1", routes, shadow="none", delivery=delivery)
        try:
            yield [hub.start()]
        finally:
            hub.stop()
        return
    settings = {"heartbeat": "1s", "restart_grace": "30s", **more.pop("cluster", {})}
    cluster = hubs.Cluster(folder, size, routes, shadow=shadow, lease="10s", delivery=delivery, cluster=settings, **more)
    if prepare:
        prepare(cluster.hubs)
    try:
        yield cluster.start().hubs
    finally:
        cluster.stop()


def fill(folder, targets, count, *, size=4096, sessions=50, name="fill", seconds=900):
    """Sends and expects every message to be acknowledged; gives what umbra-load said."""
    result = load.run_source(folder, targets, "--sessions", min(sessions, max(1, count)), "--messages", count, "--size", size, name=name,
                             ledger=False, seconds=seconds)
    if result["acknowledged"] != count:
        raise RuntimeError(f"only {result['acknowledged']} of {count} messages were acknowledged")
    return result


def gauge(hub, name, seconds=60):
    """The value of a metric, as Hub.metric(); but no answer is not 0: the hub is asked again."""
    def page():
        status, text = hub.http("/metrics")
        return text if status == 200 else None
    text = process.wait_until(page, seconds, lambda: f"{hub.name} gives its metrics", pause=0.1)
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith((name + " ", name + "{")))


def in_queue(hub, seconds=60):
    """Messages that a hub owns. On a machine that is busy with other things an answer may take several questions."""
    def answer():
        try:
            return (hub.counts()["messages"],)
        except (subprocess.SubprocessError, OSError, ValueError):
            return None
    return process.wait_until(answer, seconds, lambda: f"{hub.name} says how much it has queued", pause=0.2)[0]


def queued(hub, count, seconds=120):
    process.wait_until(lambda: in_queue(hub) >= count, seconds, lambda: f"{count} queued: {in_queue(hub)}", pause=0.2)


def quiet(running_hubs, seconds=120):
    """Waits until no message, no shadow and no discard is left on any of them."""
    names = ("umbra_queue_messages", "umbra_shadow_messages", "umbra_outbox_discards")
    process.wait_until(lambda: all(gauge(hub, name) == 0 for hub in running_hubs for name in names), seconds, "nothing left anywhere", pause=0.2)


def cpu(running_hubs):
    return [process.cpu_seconds(hub.process.pid) for hub in running_hubs]


def syncs(running_hubs):
    """Group commits so far; each is one fsync of the write-ahead log."""
    return [gauge(hub, "umbra_spool_batches_total") for hub in running_hubs]


def grown(after, before):
    return sum(after) - sum(before)


def command(hub, *words, seconds=900):
    """Runs an operator's command against a hub to its end: (exit code, seconds, what it said)."""
    argv = [str(places.UMBRA), *map(str, words), "--socket", str(hub.socket)]
    begin = time.monotonic()
    done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds, check=False)
    return done.returncode, time.monotonic() - begin, done.stdout + done.stderr


def percentile(values, fraction):
    """The value that `fraction` of all do not exceed (nearest rank)."""
    ordered = sorted(values)
    rank = max(1, -(-len(ordered) * fraction // 1))
    return ordered[int(rank) - 1]


def nice(value, digits=2):
    return f"{value:,.{digits}f}"
