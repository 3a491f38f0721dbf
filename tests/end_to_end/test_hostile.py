"""Clients at their worst, beside a good one: nothing is lost, memory stays bounded, and the good client is served all the time. How
fast it is served is measured by scripts/bench_hostile."""
import time

from lab import load, places
from lab.case import LabCase
from lab.certificates import Authority
from lab.hostile import Hostile, raise_descriptor_limit
from lab.process import resident_mb, wait_until

# (kind, connections, options): each for a few seconds, one after the other.
KINDS = [
    ("idle", 1000, {}),
    ("slow-commands", 300, {"drip_ms": 500}),
    ("slow-data", 300, {"drip_ms": 500}),
    ("slow-tls", 300, {"drip_ms": 500}),
    ("slow-reader", 200, {}),
    ("flood", 50, {"verb": "NOOP"}),
    ("flood", 50, {"verb": "RSET"}),
    ("flood", 50, {"verb": "EHLO"}),
    ("recipients", 10, {}),
    ("churn", 50, {}),
]
SECONDS = 2


class HostileRates(LabCase):
    def setUp(self):
        super().setUp()
        raise_descriptor_limit(4096)
        self.pem = Authority(self.folder / "tls").issue("hub.pem", "DNS:hub-1.example")
        self.next_hop = self.sink()

    def test_a_good_client_is_served_beside_every_kind_of_bad_ones(self):
        hub = self.hub(self.next_hop.address, tls={"mode": "starttls", "certificate": str(self.pem)})
        good = load.Source(self.folder, hub.address, "--sessions", 5, "--messages", 10_000, "--rate", 50, "--timeout-ms", 20_000)
        self.addCleanup(good.stop)
        wait_until(lambda: good.acknowledged() > 20, 10, "the good client is served")
        before = peak = resident_mb(hub.process.pid)
        for number, (kind, connections, options) in enumerate(KINDS):
            with self.subTest(kind=kind, **options):
                bad = Hostile(self.folder, hub.address, kind, connections=connections, name=f"bad-{number}", **options)
                self.addCleanup(bad.stop)
                bad.wait_in_place(15)
                served = good.acknowledged()
                end = time.monotonic() + SECONDS
                while time.monotonic() < end:
                    peak = max(peak, resident_mb(hub.process.pid))
                    time.sleep(0.1)
                self.assertGreater(good.acknowledged(), served, f"the good client got nothing beside {kind}: {bad.counts()}")
                counts = bad.stop()
                self.assertGreater(counts["octets_received"], 0, counts)
        good.process.signal(15)
        _, sent = good.finish(30)
        self.assertEqual((sent["refused_4xx"], sent["refused_5xx"], sent["undecided"], sent["unsent"], sent["abandoned"]), (0, 0, 0, 0, 0), sent)
        self.next_hop.wait_for(sent["acknowledged"], 20)
        hub.wait_empty(20)
        wait_until(lambda: hub.metric("umbra_connections") == 0, 20, lambda: f"no connection is left: {hub.metric('umbra_connections')}")
        self.next_hop.stop()
        ledger = load.ledger([good.ledger], [self.next_hop.ledger])
        self.assert_nothing_lost(ledger, duplicates=0)
        self.assertEqual(ledger["delivered"], sent["acknowledged"])
        if b"__asan_init" not in places.UMBRA.read_bytes():
            self.assertLess(peak - before, 60, f"{peak - before:.0f} MB more for bad clients")
