"""Who delivers, with real processes: hubs that stood still, hubs in the minority, a real etcd of three members that loses some, and
the Kubernetes Lease API (emulated here; against a real one: make test-kubernetes)."""
import json
import os
import random
import signal
import sqlite3
import subprocess
import threading
import time
import unittest
from contextlib import closing

from lab.case import LabCase
from lab.etcd import ETCD, Etcd
from lab.kubernetes_lease_emulator import KubernetesLeaseEmulator
from lab.process import wait_until
from lab.talk import session

SOON = {"retry": [{"wait": "1s"}]}


class Ownership(LabCase):
    def send(self, hub, count=1):
        with session(hub.address) as talk:
            for _ in range(count):
                code, text = talk.send_mail()
                self.assertEqual(code, 250, text)

    def a_hub_stands_still_before_its_final_dot(self, hubs, capture):
        """The next hop dawdles over RCPT to the first hub; meanwhile that hub is stopped for longer than a lease."""
        go_on = threading.Event()
        calls = []

        def reply(_):
            calls.append(1)
            if len(calls) == 1:
                go_on.wait(60)

        capture.rcpt_reply = reply
        victim = hubs.hubs[0]
        self.send(victim)
        wait_until(lambda: calls, 10, "the first attempt")
        victim.process.signal(signal.SIGSTOP)
        capture.wait_for(1, 30)  # by who took over
        go_on.set()  # the answer lies in the socket when it goes on
        time.sleep(1)
        victim.process.signal(signal.SIGCONT)
        wait_until(lambda: self.all_empty(hubs), 40, "empty hubs", pause=0.2)
        self.assertEqual(len(capture.messages), 1)

    @staticmethod
    def all_empty(hubs):
        try:
            return all(hub.empty() for hub in hubs.hubs)
        except (subprocess.CalledProcessError, ValueError):
            return False  # one of them is beginning its next epoch

    def capture_without_extensions(self):
        return self.capture(extensions=("8BITMIME",))


class Majority(Ownership):
    def test_a_hub_that_stood_still_does_not_send_its_final_dot(self):
        capture = self.capture_without_extensions()
        self.a_hub_stands_still_before_its_final_dot(self.cluster(3, capture.address, delivery=SOON), capture)

    def test_a_hub_in_the_minority_keeps_its_mail_and_says_why(self):
        capture = self.capture()
        capture.rcpt_reply = lambda address: "451 4.2.1 later"
        hubs = self.cluster(3, capture.address, delivery=SOON)
        one, two, three = hubs.hubs
        self.send(one)
        for hub in (two, three):
            hub.process.signal(signal.SIGSTOP)
        wait_until(lambda: one.status()["mail_waits"], 15, "the reason in its status")
        self.assertIn("minority", one.status()["mail_waits"])
        self.assertEqual(one.metric("umbra_mail_waits"), 1)
        capture.rcpt_reply = lambda address: None
        time.sleep(4)
        self.assertEqual(capture.messages, [])
        for hub in (two, three):
            hub.process.signal(signal.SIGCONT)
        capture.wait_for(1, 30)
        hubs.wait_empty(30)
        self.assertEqual(len(capture.messages), 1)

    def test_losing_the_holder_alone_stops_nobody(self):
        capture = self.capture()
        capture.rcpt_reply = lambda address: "451 4.2.1 later"
        hubs = self.cluster(3, capture.address, delivery=SOON)
        one = hubs.hubs[0]
        self.send(one)
        holder = next(hub for hub in hubs.hubs[1:] if hub.counts()["shadows"])
        holder.kill()
        time.sleep(3)
        capture.rcpt_reply = lambda address: None
        capture.wait_for(1, 20)
        self.assertEqual(one.metric("umbra_possible_duplicates_total"), 0)

    def test_a_new_spool_that_votes_still_knows_after_a_restart_whom_it_was_told_of(self):
        hubs = self.cluster(3, self.sink().address)
        _, second, third = hubs.hubs
        second.kill()
        second.start()
        hubs.wait_joined()
        third.kill()
        third.throw_disk_away()
        # The first hub tells of the second one before that answers for itself: what it says then is no news.
        second.process.signal(signal.SIGSTOP)
        third.start(wait=False)
        time.sleep(1)
        second.process.signal(signal.SIGCONT)
        wait_until(lambda: third.log.read_text().count("takes part in votes") == 2, 20, "the new spool votes")
        third.kill()
        with closing(sqlite3.connect(third.spool / "spool.db")) as database:
            epochs = dict(database.execute("SELECT hub, epoch FROM peers"))
        self.assertEqual(set(epochs), {"hub-1", "hub-2", "hub-3"})
        self.assertGreaterEqual(epochs["hub-2"], 2)


@unittest.skipUnless(ETCD, "needs etcd (Debian: etcd-server)")
class EtcdArbiter(Ownership):
    def begin(self, capture, size=2, **more):
        self.etcd = Etcd(self.folder)
        self.addCleanup(self.etcd.stop)
        self.etcd.start()
        arbiter = {"ownership": "etcd", "arbiter": {"endpoints": self.etcd.addresses}, **more}
        hubs = self.cluster(size, capture.address, delivery=SOON, cluster=arbiter, lease="3s")
        for hub in hubs.hubs:
            wait_until(lambda h=hub: "the arbiter has this hub's record" in h.log.read_text(), 20, "records in etcd")
        return hubs

    def test_a_hub_that_stood_still_does_not_send_its_final_dot(self):
        capture = self.capture_without_extensions()
        self.a_hub_stands_still_before_its_final_dot(self.begin(capture), capture)

    def test_etcd_loses_one_member_then_two_and_comes_back(self):
        capture = self.capture()
        hubs = self.begin(capture, size=3)
        one, two, three = hubs.hubs
        self.etcd.members[0].process.kill()
        self.send(one, 5)
        capture.wait_for(5, 20)
        # Without a quorum nobody takes over, and mail between hubs that hear one another flows.
        self.etcd.members[1].process.kill()
        time.sleep(5)
        self.send(one, 5)
        self.send(two, 5)
        capture.wait_for(15, 20)
        hubs.wait_empty(20)
        capture.rcpt_reply = lambda address: "451 4.2.1 later"
        self.send(three, 3)
        three.kill()
        time.sleep(10)
        self.assertEqual(sum(hub.metric("umbra_messages_taken_over_total") for hub in (one, two)), 0)
        capture.rcpt_reply = lambda address: None
        self.send(one)
        capture.wait_for(16, 20)
        self.etcd.revive(0)
        wait_until(lambda: sum(hub.metric("umbra_messages_taken_over_total") for hub in (one, two)) == 3, 40, "the take-over")
        capture.wait_for(19, 30)
        self.etcd.revive(1)
        three.start()
        hubs.wait_empty(40)
        self.assertEqual(len(capture.messages), 19)

    def test_no_quorum_at_the_start_stops_no_mail(self):
        capture = self.capture()
        self.etcd = Etcd(self.folder)  # never started
        hubs = self.cluster(2, capture.address, delivery=SOON, lease="3s",
                            cluster={"ownership": "etcd", "arbiter": {"endpoints": self.etcd.addresses}})
        self.send(hubs.hubs[0], 3)
        capture.wait_for(3, 20)


class KubernetesArbiter(Ownership):
    def begin(self, capture, size=2):
        self.api = KubernetesLeaseEmulator(self.folder).start()
        self.addCleanup(self.api.stop)
        hubs = self.cluster(size, capture.address, delivery=SOON, cluster={"ownership": "kubernetes", "arbiter": self.api.arbiter()}, lease="3s")
        wait_until(lambda: len(self.api.leases) == size, 20, "a lease for every hub")
        return hubs

    def test_a_hub_that_stood_still_does_not_send_its_final_dot(self):
        capture = self.capture_without_extensions()
        self.a_hub_stands_still_before_its_final_dot(self.begin(capture), capture)

    def test_leases_say_who_holds_them(self):
        capture = self.capture()
        hubs = self.begin(capture)
        lease = self.api.leases["umbra-hub-1"]
        status = hubs.hubs[0].status()
        self.assertEqual(lease["spec"]["holderIdentity"], f"{status['spool']}/{status['epoch']}")
        renewed = lease["spec"]["renewTime"]
        wait_until(lambda: self.api.leases["umbra-hub-1"]["spec"]["renewTime"] != renewed, 5, "a renewal")

    def test_conflicts_throttling_nonsense_and_a_new_token_are_lived_through(self):
        capture = self.capture()
        self.begin(capture)
        dice = random.Random(1)

        def trouble(method):
            what = dice.random()
            if what < 0.2 and method != "GET":
                return 409, {}, {"kind": "Status", "reason": "Conflict"}
            if what < 0.3:
                return 429, {"Retry-After": "1"}, {"kind": "Status", "reason": "TooManyRequests"}
            if what < 0.4:
                return 200, {}, b'{"items": [{"metadata": 7}, null, {"spec": {}}]}' + b" " * 1000
            if what < 0.5:
                return "close"
            return None

        self.api.answer_instead = trouble
        self.api.token_file.write_text("another-token\n")  # rotated: the hubs read it anew
        time.sleep(8)
        self.api.answer_instead = None
        before = self.api.leases["umbra-hub-1"]["spec"]["renewTime"]
        wait_until(lambda: self.api.leases["umbra-hub-1"]["spec"]["renewTime"] != before, 10, "renewals afterwards")

    def test_an_outage_stops_no_mail_between_hubs_that_hear_one_another(self):
        capture = self.capture()
        hubs = self.begin(capture, size=3)
        self.api.answer_instead = lambda method: (503, {}, b"")
        time.sleep(5)
        self.send(hubs.hubs[0], 5)
        capture.wait_for(5, 20)
        capture.rcpt_reply = lambda address: "451 4.2.1 later"
        self.send(hubs.hubs[2], 2)
        hubs.hubs[2].kill()
        time.sleep(8)
        self.assertEqual(sum(hub.metric("umbra_messages_taken_over_total") for hub in hubs.hubs[:2]), 0)
        capture.rcpt_reply = lambda address: None
        self.api.answer_instead = None
        wait_until(lambda: sum(hub.metric("umbra_messages_taken_over_total") for hub in hubs.hubs[:2]) == 2, 30, "the take-over")
        capture.wait_for(7, 30)


@unittest.skipUnless(os.environ.get("UMBRA_KUBERNETES_API"), "make test-kubernetes: against a real API server")
class RealKubernetes(Ownership):
    """UMBRA_KUBERNETES_API=host:port, _CA, _TOKEN, _NO_RIGHTS (files) and _NAMESPACE: set by scripts/test-kubernetes from KUBECONFIG."""

    def begin(self, capture, size=2, token="TOKEN"):
        at = {name: os.environ[f"UMBRA_KUBERNETES_{name}"] for name in ("API", "CA", token, "NAMESPACE")}
        self.prefix = f"umbra-test-{random.randrange(1 << 30)}-"
        arbiter = {"endpoints": [at["API"]], "ca_file": at["CA"], "token_file": at[token], "namespace": at["NAMESPACE"], "prefix": self.prefix}
        return self.cluster(size, capture.address, delivery=SOON, cluster={"ownership": "kubernetes", "arbiter": arbiter}, lease="3s")

    @staticmethod
    def wait_for_records(hubs):
        for hub in hubs.hubs:
            wait_until(lambda h=hub: "the arbiter has this hub's record" in h.log.read_text(), 20, "leases in the API server")

    def test_a_hub_that_stood_still_does_not_send_its_final_dot(self):
        capture = self.capture_without_extensions()
        hubs = self.begin(capture)
        self.wait_for_records(hubs)
        self.a_hub_stands_still_before_its_final_dot(hubs, capture)

    def test_the_mail_of_a_hub_that_was_killed_is_taken_over_once_and_its_lease_says_that_its_epoch_is_over(self):
        capture = self.capture()
        capture.rcpt_reply = lambda address: "451 4.2.1 later"
        hubs = self.begin(capture, size=3)
        self.wait_for_records(hubs)
        one, two, three = hubs.hubs
        self.send(three, 5)
        epoch = three.status()["epoch"]
        three.kill()
        wait_until(lambda: sum(hub.metric("umbra_messages_taken_over_total") for hub in (one, two)) == 5, 40, "the take-over")
        lease = self.kubectl("get", "lease", f"{self.prefix}hub-3")
        self.assertEqual(lease["metadata"]["annotations"]["umbra/epoch-over"], "true", lease)
        self.assertTrue(lease["spec"]["holderIdentity"].endswith(f"/{epoch}"), lease)
        capture.rcpt_reply = lambda address: None
        capture.wait_for(5, 30)
        three.start()
        hubs.wait_empty(40)
        self.assertEqual(len(capture.messages), 5)

    def test_without_rights_mail_flows_and_the_hub_says_what_it_lacks(self):
        capture = self.capture()
        hubs = self.begin(capture, token="NO_RIGHTS")
        self.send(hubs.hubs[0], 3)
        capture.wait_for(3, 20)
        wait_until(lambda: "403" in hubs.hubs[0].log.read_text(), 20, "the reason in the log")

    @staticmethod
    def kubectl(*words):
        answer = subprocess.run(["kubectl", "-n", os.environ["UMBRA_KUBERNETES_NAMESPACE"], *words, "-o", "json"],
                                capture_output=True, check=True, timeout=20)
        return json.loads(answer.stdout)
