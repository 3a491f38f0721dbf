"""Receive connectors: several listeners at one address, each for its own clients, and what a reload does to them."""
import email
import json
import subprocess

from lab import places
from lab.case import LabCase
from lab.hub import route_to
from lab.process import wait_until
from lab.talk import Talk, session


class Connectors(LabCase):
    """One hub whose listeners share an address. Clients come from several addresses of 127.0.0.0/8."""

    def connectors(self, *listeners, **options):
        capture = self.capture()
        hub = self.hub(capture.address, start=False, **options)
        write = hub.write_config

        def write_all():
            write()
            config = json.loads(hub.config.read_text())
            config["listeners"] += [{"address": hub.address, "shadow": "none", "tarpit": "0s", **listener} for listener in listeners]
            hub.config.write_text(json.dumps(config, indent=2) + "\n")
        hub.write_config = write_all
        hub.start()
        return hub, capture

    def reload(self, hub, *listeners):
        config = json.loads(hub.config.read_text())
        config["listeners"] = config["listeners"][:1] + [{"address": hub.address, "shadow": "none", "tarpit": "0s", **listener} for listener in listeners]
        hub.config.write_text(json.dumps(config, indent=2) + "\n")
        return hub.umbra("reload", check=False)

    @staticmethod
    def come_from(hub, client):
        return Talk(hub.address, client=client)

    def test_a_dedicated_connector_for_applications(self):
        """The recipe of docs/operations.md: who is who by address alone."""
        hub, capture = self.connectors(
            {"name": "applications", "clients": ["127.0.1.0/24"], "networks": ["127.0.1.0/24"], "host_name": "apps.example",
             "limits": {"recipients": 2, "message_size": "1MB", "connections_per_source": 2}, "extensions": {"chunking": "off"}},
            networks=(), listener={"accepted_domains": ["here.example", "*.here.example"], "banner": "mail"})
        with self.come_from(hub, "127.0.0.9") as stranger:
            self.assertEqual(stranger.greeting, (220, "hub-1.example mail"))
            stranger.say("EHLO stranger.example")
            self.assertEqual(stranger.send_mail(recipients=["b@here.example", "c@below.here.example"])[0], 250)
            self.assertEqual(stranger.send_mail(recipients=["b@elsewhere.example"])[0], 550)
        with self.come_from(hub, "127.0.1.7") as application:
            self.assertEqual(application.greeting, (220, "apps.example ESMTP Umbra"))
            offered = application.say("EHLO app.example")[1].splitlines()
            self.assertIn("SIZE 1000000", offered)
            self.assertNotIn("CHUNKING", offered)
            self.assertEqual(application.send_mail(recipients=["b@elsewhere.example"])[0], 250)
            self.assertEqual(application.send_mail(recipients=["1@elsewhere.example", "2@elsewhere.example", "3@elsewhere.example"])[0], 452)
            with self.come_from(hub, "127.0.1.7"), Talk(hub.address, client="127.0.1.7") as third:
                self.assertEqual(third.greeting[0], 421)
                with self.come_from(hub, "127.0.1.8") as other:
                    self.assertEqual(other.greeting[0], 220, "another source")
        messages = capture.wait_for(2)
        self.assertEqual(sorted(len(m.addresses) for m in messages), [1, 2])
        relayed = next(m for m in messages if m.addresses == ["b@elsewhere.example"])
        self.assertIn(b"by apps.example with ESMTP", relayed.octets)
        self.assertIn(b"([127.0.1.7])", relayed.octets)
        self.assertEqual(hub.metric("umbra_connections_per_source_refused_total"), 1)

    def test_who_is_of_no_connector_is_refused(self):
        hub, _ = self.connectors({"name": "inner", "clients": ["127.0.1.7"]}, listener={"clients": ["127.0.1.0/24"]})
        for client, code in (("127.0.1.7", 220), ("127.0.1.8", 220), ("127.0.2.1", 554)):
            with self.come_from(hub, client) as talk:
                self.assertEqual(talk.greeting[0], code, client)
        with self.come_from(hub, "127.0.2.1") as talk:
            self.assertEqual(talk.say("EHLO x")[0], 503)
            self.assertEqual(talk.say("QUIT")[0], 221)
            self.assertEqual(talk.until_closed(), [])
        self.assertEqual(hub.metric("umbra_connections_not_served_total"), 2)

    def test_a_reload_adds_and_removes_connectors_under_traffic(self):
        hub, capture = self.connectors()
        with self.come_from(hub, "127.0.1.7") as early:
            early.say("EHLO early.example")
            self.assertEqual(self.reload(hub, {"name": "applications", "clients": ["127.0.1.0/24"], "host_name": "apps.example", "networks": ["127.0.0.0/8"]}).returncode, 0)
            with self.come_from(hub, "127.0.1.7") as late:
                self.assertEqual(late.greeting[1].split()[0], "apps.example")
                late.say("EHLO late.example")
                self.assertEqual(early.send_mail()[0], 250, "what has begun goes on")
                for line in ("MAIL FROM:<a@source.example>", "RCPT TO:<b@sink.example>", "DATA"):
                    late.say(line)
                # A second one for the same clients: refused whole, with its reason, and nothing changes.
                refused = self.reload(hub, *({"name": name, "clients": ["127.0.1.0/24"], "host_name": f"{name}.example", "networks": ["127.0.0.0/8"]}
                                             for name in ("applications", "twice")))
                self.assertNotEqual(refused.returncode, 0)
                self.assertIn("127.0.1.0/24 is a network of listeners[1]", refused.stdout + refused.stderr)
                self.assertEqual(self.reload(hub).returncode, 0)
                late.send("Subject: in time\r\n\r\nx\r\n")
                self.assertEqual(late.say(".")[0], 250, "a message in the middle ends")
                self.assertEqual(late.until_closed(), [(421, "4.3.2 this listener is closing, try another")])
            with self.come_from(hub, "127.0.1.7") as again:
                self.assertEqual(again.greeting[1].split()[0], "hub-1.example")
            self.assertEqual(early.send_mail()[0], 250)
        capture.wait_for(3)
        self.assertEqual(hub.stop(), 0)

    def test_umbra_check_says_which_connectors_cannot_be_told_apart(self):
        hub, _ = self.connectors()
        config = json.loads(hub.config.read_text())
        config["listeners"].append({**config["listeners"][0], "name": "other"})
        hub.config.write_text(json.dumps(config, indent=2) + "\n")
        checked = subprocess.run([str(places.UMBRA), "check", str(hub.config)], capture_output=True, text=True, timeout=30)
        self.assertNotEqual(checked.returncode, 0)
        self.assertIn("both serve every client", checked.stdout + checked.stderr)

    def test_one_source_that_floods_leaves_room(self):
        hub, _ = self.connectors(limits={"connections": 200, "connections_per_source_percent": 20})
        flood = []
        self.addCleanup(lambda: [talk.close() for talk in flood])
        while True:
            flood.append(self.come_from(hub, "127.0.0.9"))
            if flood[-1].greeting[0] != 220:
                break
        # n = (200 - n) / 5
        self.assertEqual((len(flood) - 1, flood[-1].greeting[0]), (33, 421))
        with self.come_from(hub, "127.0.0.10") as other:
            self.assertEqual(other.greeting[0], 220)
        for talk in flood:
            talk.close()
        wait_until(lambda: hub.metric("umbra_connections") == 0, 10, "all closed")
        with session(hub.address, client="127.0.0.9") as talk:
            self.assertEqual(talk.send_mail()[0], 250)

    def test_mail_of_old_applications_is_mended_where_that_is_said(self):
        hub, capture = self.connectors({"name": "old", "clients": ["127.0.1.0/24"], "networks": ["127.0.1.0/24"], "bare_line_ends": "normalize", "long_lines": "normalize"})
        subject = " ".join(["word"] * 300)
        smuggled = ("From: a@source.example\nSubject: " + subject + "\n\nfirst\n.\nMAIL FROM:<evil@source.example>\nRCPT TO:<victim@sink.example>\n"
                    "DATA\nevil\n.\r\nsecond\r.\rthird\r\n" + "x" * 5000 + "\r\n")
        with session(hub.address) as strict:
            self.assertEqual(strict.send_mail(data=smuggled), (554, "5.6.0 bare CR or LF: lines end with CRLF"))
            self.assertEqual(strict.say("NOOP")[0], 250, "one message, one reply")
        with session(hub.address, client="127.0.1.7") as old:
            self.assertEqual(old.send_mail(data=smuggled)[0], 250)
            self.assertEqual(old.say("NOOP")[0], 250, "one message, one reply")
            # By chunks too.
            for line in ("MAIL FROM:<a@source.example>", "RCPT TO:<b@sink.example>"):
                old.say(line)
            old.send(b"BDAT 14 LAST\r\nSubject: a\n\n.\n")
            self.assertEqual(old.reply()[0], 250)
        messages = capture.wait_for(2)
        self.assertEqual([m.addresses for m in messages], [["b@sink.example"]] * 2)
        first = next(m for m in messages if b"first" in m.octets).octets
        self.assertEqual(first.count(b"\r"), first.count(b"\r\n"))
        self.assertEqual(first.count(b"\n"), first.count(b"\r\n"))
        lines = first.split(b"\r\n")
        self.assertLessEqual(max(map(len, lines)), 998)
        body = first.partition(b"\r\n\r\n")[2]
        self.assertEqual(body, b"first\r\n.\r\nMAIL FROM:<evil@source.example>\r\nRCPT TO:<victim@sink.example>\r\nDATA\r\nevil\r\n.\r\nsecond . third\r\n"
                         + b"\r\n".join([b"x" * 998] * 5 + [b"x" * 10]) + b"\r\n")
        self.assertEqual(" ".join(email.message_from_bytes(first)["Subject"].split()), subject)
        self.assertIn(b"Subject: a\r\n\r\n.\r\n", next(m for m in messages if b"first" not in m.octets).octets)

    def test_a_route_connects_from_the_address_that_it_names(self):
        capture = self.capture()
        hub = self.hub(routes=[route_to(capture.address, source_addresses=["127.0.0.77", "::1"])])
        with session(hub.address) as talk:
            self.assertEqual(talk.send_mail()[0], 250)
        capture.wait_for(1)
        self.assertEqual(capture.clients, {"127.0.0.77"})
        # One that this machine does not have: mail waits, and says why.
        other = self.hub(name="hub-2", routes=[route_to(capture.address, source_addresses=["192.0.2.77"])])
        with session(other.address) as talk:
            self.assertEqual(talk.send_mail()[0], 250)
        wait_until(lambda: "from 192.0.2.77" in other.umbra("queue", "list").stdout, 10, lambda: other.umbra("queue", "list").stdout)
        self.assertEqual(len(capture.messages), 1)

    def test_ranges_of_addresses_lie_in_one_another_or_apart(self):
        inner = {"name": "inner", "clients": ["127.0.1.5-127.0.1.9"], "networks": ["127.0.0.0/8"], "banner": "ESMTP inner"}
        hub, _ = self.connectors(inner)
        for client, banner in (("127.0.1.4", "ESMTP Umbra"), ("127.0.1.5", "ESMTP inner"), ("127.0.1.9", "ESMTP inner"), ("127.0.1.10", "ESMTP Umbra")):
            with self.come_from(hub, client) as talk:
                self.assertIn(banner, talk.greeting[1])
