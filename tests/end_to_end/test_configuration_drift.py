"""Hubs of one cluster that are configured differently: it is seen on every hub, only what is unsafe is refused, and it goes by itself."""
import json

from lab.case import LabCase
from lab.process import wait_until
from lab.talk import session


class Drift(LabCase):
    def three(self, third, **options):
        """The third hub's settings of `cluster` are changed by `third`; hubs 1 and 2 have the usual ones."""
        cluster = self.cluster(3, self.target.address, start=False, **options)
        self.odd = cluster.hubs[2]
        self.usual = self.odd._settings
        self.odd._settings = {**self.usual, **third}
        return cluster

    def setUp(self):
        super().setUp()
        self.target = self.sink()

    def of(self, hub, other):
        return next(peer for peer in json.loads(hub.umbra("peers", "--output", "json").stdout)["peers"] if peer["hub"] == other)

    def drift(self, hub, other):
        """{key: (here, there)}, or None when nothing is known."""
        peer = self.of(hub, other)
        if peer["configuration"] == "unknown":
            return None
        found = {one["key"]: (one["here"], one["there"]) for one in peer["differences"]}
        self.assertEqual(peer["configuration"], "differs" if found else "same")
        return found

    def lines(self, hub, text):
        return [line for line in hub.log.read_text().splitlines() if text in line]

    def series(self, hub):
        text = hub.http("/metrics")[1]
        return {line.split()[0]: float(line.split()[1]) for line in text.splitlines() if line.startswith("umbra_configuration_drift{")}

    def test_a_difference_is_a_warning_on_every_hub_and_goes_with_its_cause(self):
        cluster = self.three({"limits": {"message_size": "1MB"}, "routes": [{"name": "all", "domains": ["*"], "hosts": ["127.0.0.1:9"]}]})
        cluster.start()
        one, two, odd = cluster.hubs
        wait_until(lambda: all((self.drift(hub, "hub-3") or {}).keys() == {"message_size", "routes"} for hub in (one, two)), 10, "the difference")
        self.assertEqual(self.drift(one, "hub-3")["message_size"], (str(50 << 20), "1000000"))
        self.assertEqual(self.drift(odd, "hub-1")["message_size"], ("1000000", str(50 << 20)))
        self.assertEqual(self.drift(one, "hub-2"), {})
        self.assertEqual(self.series(one), {'umbra_configuration_drift{hub="hub-2"}': 0, 'umbra_configuration_drift{hub="hub-3"}': 2})
        for said in (one.umbra("peers").stdout, one.umbra("status").stdout):
            self.assertIn(f"warning hub-3: message_size is {50 << 20} here, 1000000 there", said)
        self.assertEqual(len(self.lines(one, "configured differently")), 2)
        # Nothing is refused for it.
        self.assertEqual(self.of(one, "hub-3")["state"], "alive")
        for hub in cluster.hubs[:2]:
            with session(hub.address) as talk:
                for _ in range(6):
                    self.assertEqual(talk.send_mail()[0], 250)
        wait_until(lambda: odd.metric("umbra_shadows_stored_total") > 0, 10, "copies on the odd one")
        # A restart with the same configuration changes nothing; one with the usual one ends the warning.
        odd.stop()
        odd.start()
        cluster.wait_joined()
        wait_until(lambda: (self.drift(odd, "hub-1") or {}).keys() == {"message_size", "routes"}, 10, "the difference, still")
        self.assertEqual(len(self.lines(one, "configured differently")), 2, "it is not said again")
        odd.stop()
        odd._settings = self.usual
        odd.start()
        wait_until(lambda: all(self.drift(hub, other.name) == {} for hub in cluster.hubs for other in cluster.hubs if other is not hub), 20,
                   "the end of all differences")
        self.assertEqual(len(self.lines(one, "configured as this one again")), 2)
        self.assertEqual(set(self.series(one).values()), {0})
        self.assertNotIn("warning", one.umbra("peers").stdout)
        cluster.wait_empty(30)

    def test_a_lease_that_does_not_fit_is_refused_and_the_other_two_go_on(self):
        cluster = self.three({"lease": "12s", "cluster": {"restart_grace": "1s", "heartbeat": "4s"}})
        cluster.start(wait=False)
        one, two, odd = cluster.hubs
        for hub in cluster.hubs:
            wait_until(lambda hub=hub: hub.http("/healthz/live")[0] == 200, 20, "it lives")
        wait_until(lambda: all((self.drift(hub, "hub-3") or {}).keys() == {"heartbeat", "lease"} for hub in (one, two)), 20, "the difference")
        wait_until(lambda: (self.drift(odd, "hub-1") or {}).keys() == {"heartbeat", "lease"}, 20, "the difference, seen from the other side")
        for hub, other in ((one, "hub-3"), (odd, "hub-1")):
            refused = [one["key"] for one in self.of(hub, other)["differences"] if one["refused"]]
            self.assertEqual(refused, ["heartbeat", "lease"])
        self.assertIn("refused hub-3: lease is 2000ms here, 12000ms there (a lease of 2000ms is shorter than 3 heartbeats of 4000ms)",
                      one.umbra("peers").stdout)
        with session(one.address) as talk:
            def taken():
                code, text = talk.send_mail()
                return code == 250
            wait_until(taken, 20, "mail taken by the two that agree", pause=0.3)
            before = odd.metric("umbra_shadows_stored_total")
            for _ in range(10):
                self.assertEqual(talk.send_mail()[0], 250)
        self.assertEqual(odd.metric("umbra_shadows_stored_total"), before, "no copy goes where no promise comes from")
        with session(odd.address) as talk:
            self.assertEqual(talk.send_mail()[0], 451, "nobody promises the odd one anything")
        self.assertEqual(sum(hub.metric("umbra_takeovers_total") for hub in cluster.hubs), 0)
