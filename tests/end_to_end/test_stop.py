"""Stopping a hub: with a drain before it, at once at a second signal, and what a service manager is told."""
import signal
import socket
import time

from lab import load
from lab.case import LabCase
from lab.process import wait_until


def with_drain(seconds):
    return ("env", f"UMBRA_DRAIN_ON_STOP={seconds}s")


class DrainOnStop(LabCase):
    MESSAGES = 2000

    def said(self, hub):
        """The line about the drain in the hub's log: its words."""
        for line in hub.log.read_text().splitlines():
            if "drained before stopping" in line:
                return line
        return ""

    def test_a_hub_that_is_terminated_hands_its_mail_over_first(self):
        sink = self.sink("--delay", "20")
        hubs = self.cluster(3, sink.address, at=lambda name: {"wrapper": with_drain(20)})
        source = load.Source(self.folder, hubs.addresses, "--sessions", 30, "--messages", self.MESSAGES, "--rate", 800)
        self.addCleanup(source.stop)
        wait_until(lambda: source.acknowledged() > self.MESSAGES // 4, 60, "a quarter of the load")
        hub = hubs.hubs[1]
        self.assertEqual(hub.stop(40), 0)
        self.assertIn('"state":"drained"', self.said(hub))
        time.sleep(3)  # longer than the lease: the others wait for it as long as it said
        self.assertEqual([other.metric("umbra_messages_taken_over_total") for other in hubs.alive()], [0, 0])
        hub.start()
        code, result = source.finish(120)
        self.assertEqual(code, 0, result)
        hubs.wait_empty(60)
        sink.stop()
        ledger = load.ledger([source.ledger], [sink.ledger])
        self.assert_nothing_lost(ledger)
        self.assertEqual(ledger["acknowledged"], self.MESSAGES)

    def test_a_second_signal_ends_the_drain_and_keeps_the_mail(self):
        hubs = self.cluster(3, "127.0.0.1:9", at=lambda name: {"wrapper": with_drain(60)})  # nobody listens at the next hop
        hub = hubs.hubs[0]
        source = load.Source(self.folder, hub.address, "--messages", 50)
        self.assertEqual(source.finish(60)[0], 0)
        begun = time.monotonic()
        hub.process.signal(signal.SIGTERM)
        wait_until(lambda: hub.http("/healthz/ready")[0] == 503, 10, "it is not ready any more")
        self.assertTrue(hub.process.alive())
        hub.process.signal(signal.SIGTERM)
        self.assertEqual(hub.process.wait(20), 0)
        self.assertLess(time.monotonic() - begun, 20)
        self.assertIn("a second signal", self.said(hub))
        hub.start()
        self.assertEqual(hub.counts()["messages"], 50)

    def test_a_hub_without_that_order_stops_at_once(self):
        sink = self.sink()
        hub = self.hub(sink.address)
        begun = time.monotonic()
        self.assertEqual(hub.stop(), 0)
        self.assertLess(time.monotonic() - begun, 5)
        self.assertEqual(self.said(hub), "")


class ServiceManager(LabCase):
    def test_it_is_told_when_the_hub_listens_reads_its_configuration_and_stops(self):
        name = f"umbra-manager-{self.folder.name}-{time.time_ns()}"
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(manager.close)
        manager.bind("\0" + name)
        manager.settimeout(15)
        hub = self.hub("127.0.0.1:9", start=False, wrapper=("env", f"NOTIFY_SOCKET=@{name}", "WATCHDOG_USEC=1000000"))
        hub.start(wait=False)
        self.assertEqual(manager.recv(1000), b"READY=1\nSTATUS=Hub hub-1 listens\n")
        with socket.create_connection((hub.host, hub.port), 5):
            pass
        hub.process.signal(signal.SIGHUP)
        heard = []
        while len(heard) < 2:
            told = manager.recv(1000)
            if told != b"WATCHDOG=1\n":
                heard.append(told)
        self.assertTrue(heard[0].startswith(b"RELOADING=1\nMONOTONIC_USEC="), heard)
        self.assertTrue(heard[1].startswith(b"READY=1\n"), heard)
        while manager.recv(1000) != b"WATCHDOG=1\n":  # it goes on to say that it runs
            pass
        self.assertEqual(hub.stop(), 0)
        told = b"WATCHDOG=1\n"
        while told == b"WATCHDOG=1\n":
            told = manager.recv(1000)
        self.assertTrue(told.startswith(b"STOPPING=1\n"), told)
