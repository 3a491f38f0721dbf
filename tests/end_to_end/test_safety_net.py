"""The safety net: delivered mail is kept and sent again, exactly what was asked for, without reports; within its cap."""
import collections
import json
import threading
import time

from lab import load
from lab.case import LabCase
from lab.hub import route_to
from lab.process import wait_until
from lab.talk import session

NET = {"keep": "1h", "size": "100MB"}


class SafetyNets(LabCase):
    def send(self, hub, numbers, sender="a@source.example", domain="sink.example", **more):
        with session(hub.address) as talk:
            for number in numbers:
                code, text = talk.send_mail(sender=sender, recipients=[f"r{number}@{domain}"], data=f"Subject: {number}\r\n\r\nbody {number}\r\n",
                                            **more)
                self.assertEqual(code, 250, text)

    def resend(self, hub, *words, code=0):
        done = hub.umbra("safety-net", "resend", *words, "--output", "json", check=False)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return json.loads(done.stdout) if code == 0 else done.stderr

    def kept(self, hub, *words):
        return json.loads(hub.umbra("safety-net", "list", "--limit", 10_000, "--output", "json", *words).stdout)["messages"]

    @staticmethod
    def state_of(hub, name):
        return next(peer["state"] for peer in json.loads(hub.umbra("peers", "--output", "json").stdout)["peers"] if peer["hub"] == name)

    def got(self, *captures):
        """How often each recipient got something since the last call."""
        found = collections.Counter(address for capture in captures for message in capture.messages for address in message.addresses)
        for capture in captures:
            capture.messages.clear()
        return found

    def wait_kept(self, hub, count, seconds=30):
        wait_until(lambda: hub.status()["safety_net"]["messages"] == count, seconds,
                   lambda: f"{count} kept on {hub.name}: {hub.status()['safety_net']}")

    @staticmethod
    def names(numbers, domain="sink.example"):
        return collections.Counter(f"r{number}@{domain}" for number in numbers)

    def test_it_is_off_by_default_and_keeps_nothing(self):
        capture = self.capture()
        hub = self.hub(capture.address)
        self.send(hub, range(5))
        capture.wait_for(5)
        hub.wait_empty(10)
        self.assertEqual(hub.status()["safety_net"]["messages"], 0)
        self.assertEqual(hub.metric("umbra_safety_net_bytes"), 0)
        self.assertEqual(self.kept(hub), [])
        self.assertEqual(self.resend(hub)["resent"], 0)

    def test_what_a_next_hop_lost_is_sent_again_by_time_next_hop_and_sender(self):
        first, second = self.capture(), self.capture()
        hub = self.hub(routes=[route_to(first.address, name="first", domains=["first.example"]), route_to(second.address, name="second")],
                       safety_net=NET)
        self.send(hub, range(0, 50), domain="first.example")
        self.send(hub, range(50, 100), sender="boss@source.example")
        self.wait_kept(hub, 100)
        time.sleep(1.1)
        middle = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        time.sleep(1.1)
        self.send(hub, range(100, 200))
        self.wait_kept(hub, 200)
        self.assertEqual(sum(self.got(first, second).values()), 200)

        preview = json.loads(hub.umbra("safety-net", "resend", "--from", middle, "--dry-run", "--output", "json").stdout)
        self.assertEqual((preview["messages"], preview["recipients"]), (100, 100))
        self.assertEqual(self.resend(hub, "--from", middle)["resent"], 100)
        hub.wait_empty(20)
        self.assertEqual(self.got(first, second), self.names(range(100, 200)))
        self.assertEqual(self.resend(hub, "--to", middle, "--next-hop", "first")["resent"], 50)
        hub.wait_empty(20)
        self.assertEqual(self.got(first, second), self.names(range(0, 50), "first.example"))
        self.assertEqual(self.resend(hub, "--next-hop", f"127.0.0.1:{second.port}", "--sender", "BOSS@source.example")["resent"], 50)
        hub.wait_empty(20)
        again = list(second.messages)
        self.assertEqual(self.got(first, second), self.names(range(50, 100)))
        self.assertEqual(self.resend(hub, "--recipient", "r7@first.example")["resent"], 1)
        hub.wait_empty(20)
        self.assertEqual(self.got(first, second), self.names([7], "first.example"))
        # The mail itself is as it was, under a trace field of its own; and what was sent again is not kept again.
        events = {event["id"]: event for event in hub.events("resent")}
        for message in again:
            text = message.octets.decode()
            self.assertRegex(text, r"^Umbra-Hop: [^\r]+(\r\n\t[^\r]+)*\r\nReceived: by hub-1\.example")
            self.assertIn("sent again from the safety net", text)
            self.assertEqual(text.count("\nSubject:"), 1)
            self.assertTrue(text.endswith("\r\n\r\nbody " + message.addresses[0][1:].split("@")[0] + "\r\n"), text)
            identity = text.split("\tid ")[1].split("\r\n")[0]
            self.assertIn(events[identity]["origin"], text)
        self.assertEqual(hub.status()["safety_net"]["messages"], 200)
        self.assertEqual(hub.metric("umbra_messages_resent_total"), 201)

    def test_a_request_made_twice_is_done_once_and_outlives_a_crash(self):
        capture = self.capture()
        hub = self.hub(capture.address, safety_net={**NET, "resend_rate": 100})
        self.send(hub, range(300))
        self.wait_kept(hub, 300)
        self.got(capture)
        hub.umbra("safety-net", "resend", "--request", "lost-mailbox", "--detach")
        wait_until(lambda: len(capture.messages) > 120, 20, "some of it", pause=0.02)
        hub.kill()
        self.assertLess(len(capture.messages), 300)
        hub.start()
        status = lambda: json.loads(hub.umbra("safety-net", "status", "--request", "lost-mailbox", "--output", "json").stdout)
        wait_until(lambda: status()["state"] == "done", 30, lambda: f"the end of the request: {status()}")
        hub.wait_empty(20)
        self.assertEqual(status()["resent"], 300)
        got = self.got(capture)
        self.assertEqual(set(got), set(self.names(range(300))))
        # What was delivered and not recorded when the hub was killed may come twice (RFC 1047), as with all mail.
        self.assertLessEqual(sum(got.values()) - 300, 40)
        made = {event["origin"] for event in hub.events("resent")}
        self.assertEqual(self.resend(hub, "--request", "lost-mailbox")["resent"], 300)
        self.assertIn("another request of that name", self.resend(hub, "--request", "lost-mailbox", "--sender", "b@source.example", code=5))
        time.sleep(0.5)
        self.assertEqual(sum(self.got(capture).values()), 0)
        self.assertGreater(len(made), 250)

    def test_nobody_is_told_of_what_becomes_of_mail_that_is_sent_again(self):
        home, away = self.capture(), self.capture()
        hub = self.hub(routes=[route_to(home.address, name="home", domains=["source.example"]), route_to(away.address, name="away")],
                       safety_net=NET)
        self.send(hub, range(10), rcpt="NOTIFY=SUCCESS,FAILURE,DELAY")
        away.wait_for(10)
        self.wait_kept(hub, 10)
        home.messages.clear()
        away.rcpt_reply = lambda address: "550 5.1.1 no such user"
        self.assertEqual(self.resend(hub, "--recipient", "@sink.example")["resent"], 10)
        hub.wait_empty(20)
        wait_until(lambda: hub.metric("umbra_recipients_bounced_total") == 10, 10, "all refused")
        time.sleep(0.5)
        self.assertEqual(home.messages, [])
        self.assertTrue(any("NOTIFY=NEVER" in line for line in away.lines))
        # The same refusal of the original is told: this test can fail.
        self.send(hub, [99])
        home.wait_for(1)

    def test_copies_on_the_other_hub_are_sent_when_their_owner_is_gone(self):
        capture = self.capture()
        cluster = self.cluster(3, capture.address, safety_net=NET)
        first, others = cluster.hubs[0], cluster.hubs[1:]
        self.send(first, range(60))
        cluster.wait_empty(30)
        self.wait_kept(first, 60)
        wait_until(lambda: sum(hub.status()["safety_net"]["messages"] for hub in others) == 60, 20, "all of it on the other hubs")
        self.got(capture)
        # While the owner lives they are left to it, whatever is asked for.
        for hub in others:
            self.assertEqual(self.resend(hub, "--include-shadows")["resent"], 0)
        self.assertEqual(sum(self.got(capture).values()), 0)
        first.kill()
        first.throw_disk_away()
        wait_until(lambda: all(self.state_of(hub, "hub-1") == "silent" for hub in others), 30, "the others miss it")
        self.assertEqual(sum(self.resend(hub)["resent"] for hub in others), 0)  # silent is not gone
        self.assertEqual(sum(self.resend(hub, "--include-shadows")["resent"] for hub in others), 60)
        cluster.wait_empty(30)
        self.assertEqual(self.got(capture), self.names(range(60)))
        for hub in others:
            self.assertEqual(len(hub.events("unprotected")), 0)
        # It is back with an empty disk: nobody has to say anything.
        first.start()
        cluster.wait_joined()
        self.assertEqual(sum(self.resend(hub, "--recipient", "r7@sink.example")["resent"] for hub in cluster.hubs), 1)
        cluster.wait_empty(30)
        self.assertEqual(self.got(capture), self.names([7]))

    def test_the_cap_is_never_passed_under_load(self):
        sink = self.sink()
        hub = self.hub(sink.address, safety_net={"keep": "1h", "size": "2MB"})
        seen = []
        stop = threading.Event()

        def watch():
            while not stop.wait(0.05):
                seen.append(hub.metric("umbra_safety_net_bytes"))
        watcher = threading.Thread(target=watch)
        watcher.start()
        result = load.run_source(self.folder, hub.address, "--sessions", 10, "--messages", 3000, "--size", 4000)
        hub.wait_empty(60)
        stop.set()
        watcher.join()
        self.assertEqual(result["exit_code"], 0, result)
        self.assertGreater(max(seen), 1_500_000)
        self.assertLessEqual(max(seen), 2_000_000)
        status = hub.status()["safety_net"]
        self.assertEqual(status["messages"] + status["evicted"]["size"], 3000)

    def test_it_gives_way_when_the_disk_is_short(self):
        capture = self.capture()
        hub = self.hub(capture.address, safety_net=NET, reserve="1B")
        self.send(hub, range(20))
        self.wait_kept(hub, 20)
        hub.stop()
        # More is to be left free than there is; half of that is: the net goes, and mail is taken.
        free = hub_free(hub)
        hub._settings["reserve"] = f"{int(free * 0.8)}B"
        hub.start()
        wait_until(lambda: hub.status()["safety_net"]["messages"] == 0, 20, lambda: f"the net is empty: {hub.status()['safety_net']}")
        self.send(hub, range(20, 25))
        capture.wait_for(25)
        hub.wait_empty(10)
        status = hub.status()["safety_net"]
        self.assertEqual((status["messages"], status["evicted"]["disk"]), (0, 25))

    def test_mail_goes_when_its_time_is_over_and_when_the_net_is_switched_off(self):
        capture = self.capture()
        hub = self.hub(capture.address, safety_net={"keep": "3s", "size": "10MB"})
        self.send(hub, range(5))
        self.wait_kept(hub, 5)
        self.wait_kept(hub, 0, 30)
        self.assertEqual(hub.status()["safety_net"]["evicted"]["age"], 5)
        hub.stop()
        hub._settings["safety_net"] = NET
        hub.start()
        self.send(hub, range(5))
        self.wait_kept(hub, 5)
        hub.stop()
        hub._settings["safety_net"] = None
        hub.start()
        self.wait_kept(hub, 0)

    def test_a_leave_does_not_wait_for_it_and_says_what_goes(self):
        capture = self.capture()
        cluster = self.cluster(3, capture.address, safety_net=NET)
        hub = cluster.hubs[0]
        self.send(hub, range(10))
        cluster.wait_empty(20)
        self.wait_kept(hub, 10)
        said = hub.umbra("leave", "--dry-run").stdout
        self.assertIn("The safety net of this hub (10 delivered messages)", said)
        done = hub.umbra("leave", "--unready-wait", "0s", check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


def hub_free(hub):
    import os
    stats = os.statvfs(hub.spool)
    return stats.f_bavail * stats.f_frsize
