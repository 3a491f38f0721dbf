"""Memory and time stay bounded: by idle connections, by the size of a message, by the length of the queue."""
import resource
import time

from lab import load, places
from lab.case import LabCase
from lab.process import resident_mb, wait_until
from lab.talk import Talk, session


class Bounds(LabCase):
    def setUp(self):
        super().setUp()
        # A sanitizer's shadow memory is not the hub's.
        if b"__asan_init" in places.UMBRA.read_bytes():
            self.skipTest("memory is not measured with a sanitizer")

    def test_idle_connections_cost_little_and_slow_nobody(self):
        count = 4000
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard < count + 200:
            self.skipTest(f"only {hard} file descriptors")
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count + 200), hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        sink = self.sink()
        # All of them come from one address.
        hub = self.hub(sink.address, limits={"connections_per_source_percent": 100})
        load.run_source(self.folder, hub.address, "--sessions", 5, "--messages", 2000, name="before")
        before = resident_mb(hub.process.pid)
        idle = [Talk(hub.address) for _ in range(count)]
        try:
            for talk in idle:
                talk.say("EHLO idle.example")
            after = resident_mb(hub.process.pid)
            busy = load.run_source(self.folder, hub.address, "--sessions", 5, "--messages", 2000, name="after")
            self.assertEqual(busy["acknowledged"], 2000)
        finally:
            for talk in idle:
                talk.close()
        # 10,000 may cost 150 MB.
        self.assertLess(after - before, count * 0.015, f"{after - before:.0f} MB for {count} idle connections")

    def test_a_big_message_streams_through_both_hubs(self):
        megabytes = 200
        sink = self.sink()
        cluster = self.cluster(2, sink.address, limits={"message_size": "1GiB"})
        before = max(resident_mb(hub.process.pid) for hub in cluster.hubs)
        peak = before
        source = load.Source(self.folder, cluster.hubs[0].address, "--sessions", 1, "--messages", 2, "--size", megabytes << 20,
                             "--timeout-ms", 180_000, "--verify")
        self.addCleanup(source.stop)
        end = time.monotonic() + 240
        while time.monotonic() < end and sink.counts()["messages"] < 2:
            peak = max(peak, *(resident_mb(hub.process.pid) for hub in cluster.hubs))
            time.sleep(0.05)
        self.assertEqual(source.finish(30)[0], 0)
        self.assertEqual(sink.counts()["messages"], 2)
        cluster.wait_empty(30)
        sink.stop()
        self.assertEqual(sink.counts()["damaged"], 0)
        self.assertLess(peak - before, 100, f"{peak - before:.0f} MB more for messages of {megabytes} MB")

    def test_a_long_queue_costs_little_memory_and_no_time_at_start(self):
        count = 40_000
        # Nobody listens at the next hop.
        hub = self.hub(f"127.0.0.1:{places.free_port()}", delivery={"memory": "8MiB"})
        result = load.run_source(self.folder, hub.address, "--sessions", 20, "--messages", count, "--size", 1000, ledger=False)
        self.assertEqual(result["acknowledged"], count)
        self.assertEqual(hub.counts()["messages"], count)
        used = resident_mb(hub.process.pid)
        self.assertLess(used, 150, f"{used:.0f} MB with {count} queued")
        self.assertEqual(hub.stop(), 0)
        begin = time.monotonic()
        hub.start()
        self.assertLess(time.monotonic() - begin, 5)
        self.assertEqual(hub.counts()["messages"], count)
        with session(hub.address) as talk:
            self.assertEqual(talk.send_mail()[0], 250)
        wait_until(lambda: hub.counts()["messages"] == count + 1, 5, "one more")
        self.assertLess(resident_mb(hub.process.pid), 150)
