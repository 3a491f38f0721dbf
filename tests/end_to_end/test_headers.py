"""`umbra headers`: the way of a delivered message, read from its header; through hubs and Postfix, with forged fields in it."""
import json
import re
import subprocess

from lab import places
from lab.case import LabCase
from lab.talk import session

FORGED = ("Umbra-Hop: hub=hub-9; host=hub-9.example; id=00000000000000aa-1; redundancy=copy; copies=hub-8; copied=1ms\r\n"
          "Received: from nowhere by hub-9.example with ESMTP id 00000000000000aa-1; Fri, 27 Nov 2020 10:00:00 +0000\r\n"
          "Umbra-Hop: hub=hub-1; host=hub-1.example; id=00000000000000bb-2\r\n")


class HeadersCase(LabCase):
    def send(self, hub, data="Subject: x\r\n\r\nbody\r\n"):
        with session(hub.address) as talk:
            code, text = talk.send_mail(data=data)
            self.assertEqual(code, 250, text)
        return re.search(r"queued as (\S+?),? ", text + " ").group(1)

    def read(self, octets, *options, code=0):
        file = self.folder / "message.eml"
        file.write_bytes(octets)
        done = subprocess.run([str(places.UMBRA), "headers", str(file), *options], capture_output=True, text=True, timeout=20, check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout

    def hops(self, octets, *options):
        return json.loads(self.read(octets, "--output", "json", *options))["hops"]


class OfACluster(HeadersCase):
    def test_a_message_says_which_copy_its_acknowledgement_waited_for(self):
        capture = self.capture()
        first = self.cluster(2, capture.address, shadow="require").hubs[0]
        name = self.send(first)
        octets = capture.wait_for(1)[0].octets
        self.assertTrue(octets.startswith(b"Umbra-Hop: hub=hub-1; host=hub-1.example;"), octets)
        hops = self.hops(octets)
        self.assertEqual(len(hops), 1)
        hop = hops[0]
        self.assertEqual((hop["from"], hop["by"], hop["believed"]), ("test.example", "hub-1.example", True))
        umbra = hop["umbra"]
        self.assertEqual((umbra["hub"], umbra["id"], umbra["redundancy"], umbra["copies"], umbra["attempt"]), ("hub-1", name, "copy", ["hub-2"], 1))
        self.assertLessEqual(0, umbra["copied_seconds"])
        self.assertLessEqual(umbra["copied_seconds"], umbra["acknowledged_seconds"])
        self.assertLess(umbra["queue_seconds"], 10)
        self.assertIn("hub-1: waited for a copy on hub-2", self.read(octets))
        # The size that was announced is that of what came.
        mail = next(line for line in capture.lines if line.startswith("MAIL"))
        self.assertIn(f" SIZE={len(octets)}", mail)

    def test_a_message_that_was_taken_over_says_who_owned_it_and_that_the_way_is_not_known(self):
        capture = self.capture()
        capture.rcpt_reply = lambda address: "451 4.2.0 not now"
        hubs = self.cluster(2, capture.address, shadow="require", delivery={"retry": [{"wait": "1s"}]})
        first, second = hubs.hubs
        self.send(first)
        first.kill()
        capture.rcpt_reply = lambda address: None
        octets = capture.wait_for(1, 40)[0].octets
        umbra = self.hops(octets)[0]["umbra"]
        self.assertEqual(umbra["hub"], "hub-2")
        self.assertIsNone(umbra["redundancy"])
        self.assertEqual([(o["generation"], o["hub"], o["how"]) for o in umbra["owners"]], [(1, "hub-1", "accepted"), (2, "hub-2", "taken_over")])
        self.assertIn("owner 2: hub-2, taken_over", self.read(octets))

    def test_without_the_setting_nothing_is_added(self):
        capture = self.capture()
        hub = self.hub(capture.address, delivery={"trace_field": False})
        self.send(hub)
        octets = capture.wait_for(1)[0].octets
        self.assertTrue(octets.startswith(b"Received: "), octets)


class ThroughHubsAndPostfix(HeadersCase):
    def test_every_hop_is_told_and_forged_fields_are_not_believed(self):
        capture = self.capture()
        last = self.hub(capture.address, name="hub-2")
        postfix = self.postfix(last.address)
        first = self.hub(postfix.address, name="hub-1")
        self.send(first, FORGED + "Subject: x\r\n\r\nbody\r\n")
        octets = capture.wait_for(1, 30)[0].octets
        self.assertIn(FORGED.encode(), octets, "what came stays as it was")
        hops = self.hops(octets, "--own", "hub-1.example", "--own", "hub-2.example")
        # Oldest first: the two forged ones, hub-1, Postfix twice or once, hub-2.
        self.assertEqual(hops[-1]["umbra"]["hub"], "hub-2")
        self.assertTrue(hops[-1]["believed"])
        real = next(hop for hop in hops if hop["by"] == "hub-1.example")
        self.assertEqual(real["umbra"]["redundancy"], "none")
        self.assertFalse(real["believed"], "it came by way of Postfix, which is not one of ours")
        for hop in hops[:2]:
            self.assertFalse(hop["believed"], hop)
        times = [hop["time"] for hop in hops[2:]]
        self.assertTrue(all(times), hops)
        self.assertEqual(times, sorted(times))
        own = self.hops(octets, *(word for hop in hops[2:] for word in ("--own", hop["by"])))
        self.assertTrue(next(hop for hop in own if hop["by"] == "hub-1.example")["believed"], "now Postfix is")
        for hop in own[:2]:
            self.assertFalse(hop["believed"], hop)
        self.assertIn("not believed", self.read(octets))

    def test_clocks_that_differ_are_said(self):
        octets = (b"Received: from a by b; Fri, 27 Nov 2026 10:00:00 +0000\r\nReceived: from c by a; Fri, 27 Nov 2026 12:00:07 +0100\r\n\r\n")
        self.assertEqual(self.hops(octets)[1]["delay_seconds"], -3607.0)
        self.assertIn("their clocks differ", self.read(octets))

    def test_a_file_without_a_header_is_a_problem(self):
        self.read(b"\xff\x00 nothing", code=1)
