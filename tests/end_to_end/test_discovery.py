"""Hubs that find one another by DNS: names from SRV records, or from whoever answers at an address; DNS that fails; a hub that
comes back at another address."""
import json
import smtplib
import time
import unittest

from lab import places
from lab.case import LabCase
from lab.certificates import Authority
from lab.name_server import NameServer
from lab.process import wait_until


class Discovery(LabCase):
    def setUp(self):
        super().setUp()
        self.names = NameServer(places.free_port())
        self.addCleanup(self.names.stop)
        self.sink_ = self.sink()
        self.cluster_port = places.free_port()

    def hubs(self, size, kind):
        """Hubs whose cluster addresses are 127.0.1.1, 127.0.1.2 ... at one port (address), or ports of 127.0.0.1 (srv)."""
        discovery = {"dns": "hubs.test" if kind == "address" else "_umbra._tcp.hubs.test", "type": kind, "interval": "1s"}
        if kind == "address":
            discovery["port"] = self.cluster_port
        cluster = self.cluster(size, self.sink_.address, start=False, cluster={"discovery": discovery})
        for i, hub in enumerate(cluster.hubs, 1):
            hub.resolver = self.names.address
            if kind == "address":
                self.place(hub, f"127.0.1.{i}")
        self.publish(cluster.hubs, kind)
        return cluster

    def place(self, hub, address):
        hub.cluster_address = f"{address}:{self.cluster_port}"

    def publish(self, hubs, kind):
        if kind == "address":
            self.names.addresses = {"hubs.test": [hub.cluster_address.split(":")[0] for hub in hubs]}
        else:
            self.names.addresses = {f"{hub.name}.hubs.test": ["127.0.0.1"] for hub in hubs}
            self.names.services = {"_umbra._tcp.hubs.test": [(hub.cluster_port, f"{hub.name}.hubs.test") for hub in hubs]}

    def send(self, hub, count=1):
        with smtplib.SMTP("127.0.0.1", hub.port, timeout=20) as client:
            for i in range(count):
                client.sendmail("a@example.org", [f"r{i}@sink.example"], "Subject: x\r\n\r\nhello\r\n")

    def peers(self, hub):
        answer = hub.umbra("peers", "--output", "json", check=False)  # fails while it starts
        return {peer["hub"]: peer for peer in json.loads(answer.stdout)["peers"]} if answer.returncode == 0 else {}

    def wait_for_peer(self, hub, name, state, seconds=20):
        wait_until(lambda: self.peers(hub).get(name, {}).get("state") == state, seconds, lambda: f"{name} {state} for {hub.name}: {self.peers(hub)}")

    def test_by_service_records(self):
        hubs = self.hubs(3, "srv")
        hubs.start(wait=False)
        for hub in hubs.hubs:
            for other in hubs.hubs:
                if other is not hub:
                    self.wait_for_peer(hub, other.name, "alive")
        self.send(hubs.hubs[0], 5)
        self.sink_.wait_for(5, 20)
        hubs.wait_empty(20)
        self.assertEqual(hubs.hubs[0].metric("umbra_cluster_members"), 3)

    def test_copies_go_to_the_zone_that_another_hub_has_told(self):
        self.sink_.stop()  # what is accepted stays where it is
        hubs = self.hubs(3, "srv")
        for hub, zone in zip(hubs.hubs, ("east", "east", "west"), strict=True):
            hub._settings["cluster"] = {**hub._settings["cluster"], "zone": zone}
        hubs.start(wait=False)
        for hub in hubs.hubs:
            for other in hubs.hubs:
                if other is not hub:
                    self.wait_for_peer(hub, other.name, "alive")
        first, second, third = hubs.hubs
        self.send(first, 10)
        self.send(second, 10)
        self.assertEqual(third.counts()["shadows"], 20)
        self.send(third, 10)
        self.assertEqual(first.counts()["shadows"] + second.counts()["shadows"], 10)
        self.assertEqual({peer["configuration"] for peer in self.peers(first).values()}, {"same"})

    def test_by_address_with_certificates_instead_of_a_secret(self):
        hubs = self.hubs(3, "address")
        authority = Authority(self.folder / "tls")
        for hub in hubs.hubs:
            hub.certify(authority.issue(f"{hub.name}.pem", f"DNS:{hub.name}"), authority)
        hubs.start(wait=False)
        for hub in hubs.hubs:
            for other in hubs.hubs:
                if other is not hub:
                    self.wait_for_peer(hub, other.name, "alive")
        self.send(hubs.hubs[0], 5)
        self.sink_.wait_for(5, 20)
        hubs.wait_empty(20)

    def test_by_address_and_through_a_hub_that_moves(self):
        hubs = self.hubs(3, "address")
        hubs.start(wait=False)
        one, two, three = hubs.hubs
        for other in (two, three):
            self.wait_for_peer(one, other.name, "alive")
        self.assertNotIn("hub-1", self.peers(one))
        self.send(one, 3)
        # As a pod that is made anew: same name and disk, another address.
        two.stop()
        self.place(two, "127.0.1.22")
        two.start(wait=False)
        self.publish(hubs.hubs, "address")
        self.wait_for_peer(one, "hub-2", "alive")
        self.assertEqual(self.peers(one)["hub-2"]["address"].split(":")[0], "127.0.1.22")
        self.assertEqual(len(self.peers(one)), 2)
        self.send(one, 3)
        self.sink_.wait_for(6, 20)
        hubs.wait_empty(20)

    def test_thirty_seconds_without_dns_are_survived(self):
        hubs = self.hubs(3, "srv")
        hubs.start(wait=False)
        one, two, three = hubs.hubs
        for other in (two, three):
            self.wait_for_peer(one, other.name, "alive")
        sent = 0
        end = time.monotonic() + 32
        for mode in ("fails", "silent", "empty"):
            self.names.mode = mode
            third = time.monotonic() + (end - time.monotonic()) / {"fails": 3, "silent": 2, "empty": 1}[mode]
            while time.monotonic() < third:
                self.send(one, 2)
                sent += 2
                time.sleep(1)
        for other in (two, three):
            self.wait_for_peer(one, other.name, "alive", 5)
        said = one.log.read_text()
        self.assertIn("DNS does not name the cluster's hubs", said)
        self.assertIn("DNS has not named the cluster's hubs for 30 s", said)
        self.assertEqual(one.metric("umbra_takeovers_total"), 0)
        self.names.mode = "answers"
        self.sink_.wait_for(sent, 30)
        hubs.wait_empty(30)
        wait_until(lambda: "DNS names the cluster's hubs again" in one.log.read_text(), 10, "the word that DNS is back")

    def test_a_hub_that_dns_does_not_name_any_more_is_taken_over_from_only_when_silent_and_then_forgotten(self):
        hubs = self.hubs(3, "srv")
        for hub in hubs.hubs:
            hub._settings["cluster"]["discovery"]["forget_after"] = "10s"
        hubs.start(wait=False)
        one, two, three = hubs.hubs
        for other in (two, three):
            self.wait_for_peer(one, other.name, "alive")
        self.publish([one, two], "srv")
        time.sleep(5)
        self.assertEqual(self.peers(one)["hub-3"]["state"], "alive")
        three.kill()
        wait_until(lambda: "hub-3" not in self.peers(one), 40, "hub-3 is forgotten")
        self.assertEqual(one.metric("umbra_cluster_members"), 2)


if __name__ == "__main__":
    unittest.main()
