"""The base of the end-to-end tests: a folder per test, kept when the test fails, and everything started is ended."""
import os
import shutil
import unittest

from . import places
from .capture import Capture
from .hub import Cluster, Hub, route_to
from .load import Sink
from .postfix import Postfix, why_not

FOLDER = places.ROOT / "build" / "end_to_end"


class LabCase(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        if not places.UMBRA.exists():
            self.fail(f"{places.UMBRA} is not built")
        self.folder = FOLDER / self.id().rsplit(".", 1)[1].removeprefix("test_")[:40].rstrip("_")
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.addCleanup(self._tidy)

    def _tidy(self):
        outcome = self._outcome
        result = getattr(outcome, "result", None)
        bad = [test for test, _ in (*getattr(result, "failures", ()), *getattr(result, "errors", ()))]
        if self not in bad and getattr(outcome, "success", True):
            shutil.rmtree(self.folder, ignore_errors=True)
        else:
            print(f"\n{self.id()}: logs are in {self.folder}", flush=True)

    def capture(self, **options):
        capture = Capture(**options)
        self.addCleanup(capture.stop)
        return capture

    def sink(self, *options, **more):
        sink = Sink(self.folder, *options, **more).start()
        self.addCleanup(sink.stop)
        return sink

    def hub(self, *next_hops, start=True, routes=None, name="hub-1", **options):
        """One hub without a cluster, whose mail all goes to `next_hops`."""
        hub = Hub(self.folder / name, name, routes or [route_to(*next_hops)], **options)
        self.addCleanup(hub.stop)
        return hub.start() if start else hub

    def cluster(self, size, *next_hops, start=True, routes=None, **options):
        cluster = Cluster(self.folder, size, routes or [route_to(*next_hops)], **options)
        self.addCleanup(cluster.stop)
        return cluster.start() if start else cluster

    def postfix(self, next_hop, **options):
        if why_not():
            self.skipTest(why_not())
        postfix = Postfix(self.folder / "postfix", next_hop, **options)
        self.addCleanup(postfix.stop)
        return postfix.start()

    def need_root(self, what):
        if os.geteuid() != 0:
            self.skipTest(f"{what} needs root")

    def assert_nothing_lost(self, ledger, *, duplicates=None):
        self.assertEqual(ledger["lost"], 0, ledger["first_lost"])
        self.assertEqual(ledger["unexpected"], 0, ledger["first_unexpected"])
        if duplicates is not None:
            self.assertEqual(ledger["duplicated"], duplicates, ledger["first_duplicated"])
