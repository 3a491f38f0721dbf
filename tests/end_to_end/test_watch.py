"""`umbra watch` follows sessions of a real hub while mail flows: by client, address and next hop, sessions under way included; a reader that
stops, that dies, or that is one too many harms nobody."""
import json
import signal
import subprocess
import threading
import time

from lab import places
from lab.case import LabCase
from lab.hub import route_to
from lab.process import wait_until
from lab.talk import session


class Watching:
    """`umbra watch` in the background; `lines` are what it has printed."""

    def __init__(self, hub, *arguments, output="json", reads=True):
        argv = [str(places.UMBRA), "watch", "--socket", str(hub.socket), "--output", output, *map(str, arguments)]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.lines = []
        self.thread = None
        if reads:
            self.read()

    def read(self):
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def records(self):
        return [json.loads(line) for line in self.lines]

    def said(self):
        return [(one["event"], one["data"] or one["context"]) for one in self.records() if "event" in one]

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self.thread:
            self.thread.join(5)
        self.process.stdout.close()
        self.process.stderr.close()


class Watch(LabCase):
    def setUp(self):
        super().setUp()
        self.back_end = self.capture()
        self.other = self.capture()
        self.relay = self.hub(networks=("127.0.0.0/8",), routes=[route_to(self.back_end.address, name="backend", domains=["back.example"]), route_to(self.other.address, name="rest")])

    def watch(self, *arguments, **options):
        watching = Watching(self.relay, *arguments, **options)
        self.addCleanup(watching.stop)
        # It has begun when a session of its own shows up: by the number of those who watch nobody can tell from outside.
        time.sleep(0.5)
        self.assertIsNone(watching.process.poll(), watching.process.stderr.read() if watching.process.poll() is not None else "")
        return watching

    def send(self, recipient, sender="a@source.example", **options):
        with session(self.relay.address, **options) as talk:
            reply = talk.send_mail(sender=sender, recipients=[recipient])
            talk.say("QUIT")
            return reply

    def wait_said(self, watching, event, text):
        wait_until(lambda: any(one == event and text in said for one, said in watching.said()), 10, lambda: f"{event} {text} in {watching.said()}")

    def test_a_client_is_followed_and_no_other_and_nothing_is_logged(self):
        watching = self.watch("--client", "127.0.0.2")
        self.send("x@back.example", client="127.0.0.2")
        self.send("y@back.example", client="127.0.0.3")
        self.wait_said(watching, "-", "")
        said = watching.said()
        self.assertIn(("<", "RCPT TO:<x@back.example>"), said)
        self.assertNotIn("y@back.example", str(said))
        self.assertEqual({one["connector"] for one in watching.records()}, {"default"})
        self.assertTrue(all(one["remote"].startswith("127.0.0.2:") for one in watching.records()))
        self.assertEqual([one["sequence"] for one in watching.records()], list(range(len(said))))
        self.assertEqual(list((self.relay.spool / "logs").glob("RECV*")) + list((self.relay.spool / "logs").glob("SEND*")), [])

    def test_sessions_under_way_are_followed_from_here(self):
        with session(self.relay.address, client="127.0.0.2") as talk:
            watching = self.watch("--client", "127.0.0.0/30", "--listener", "default")
            talk.say("NOOP")
            self.wait_said(watching, "<", "NOOP")
            self.assertIn("under way already", watching.said()[0][1])

    def test_a_next_hop_is_followed(self):
        watching = self.watch("--next-hop", self.back_end.address)
        by_route = self.watch("--next-hop", "rest")
        self.send("x@back.example")
        self.send("y@other.example")
        self.wait_said(watching, ">", "RCPT TO:<x@back.example>")
        self.wait_said(by_route, ">", "RCPT TO:<y@other.example>")
        self.wait_said(watching, "<", "250 2.0.0 Ok")
        self.assertNotIn("y@other.example", str(watching.said()))
        self.assertEqual({one["direction"] for one in watching.records()}, {"out"})
        self.assertEqual({one["connector"] for one in watching.records()}, {"backend"})

    def test_an_address_is_followed_in_both_directions_from_the_beginning_of_its_session(self):
        watching = self.watch("--address", "X@back.example")
        text = self.watch("--address", "@back.example", "--direction", "in", output="text")
        self.send("y@back.example")
        self.send("x@back.example")
        self.wait_said(watching, ">", "RCPT TO:<x@back.example>")
        self.wait_said(watching, "<", "RCPT TO:<x@back.example>")
        inbound = [(one["event"], one["data"]) for one in watching.records() if one.get("direction") == "in"]
        self.assertEqual(inbound[0], ("+", ""))
        self.assertIn(("<", "EHLO test.example"), inbound)
        self.assertNotIn(("<", "RCPT TO:<y@back.example>"), inbound)
        wait_until(lambda: any("RCPT TO:<y@back.example>" in line for line in text.lines), 10, "the other address of the domain")
        self.assertRegex(text.lines[0], r"^\d\d:\d\d:\d\d\.\d\d\d in  [0-9a-f]{8} default 127\.0\.0\.1:\d+ \+$")
        self.assertFalse(any(" out " in line for line in text.lines))

    def test_what_a_client_says_does_nothing_to_a_terminal(self):
        text = self.watch(output="text")
        with session(self.relay.address) as talk:
            talk.say(b"\x1b]0;owned\x07\x9b31m\xc2\x9b31m")
        wait_until(lambda: any("owned" in line for line in text.lines), 10, "the line")
        self.assertFalse(any(ord(c) < 32 or 0x7f <= ord(c) < 0xa0 for line in text.lines for c in line))

    def test_it_ends_when_the_time_is_over_when_the_hub_stops_and_is_refused_when_wrong(self):
        timed = self.watch("--for", "1s", output="text")
        self.assertEqual(timed.process.wait(10), 0)
        timed.thread.join(5)
        self.assertEqual(timed.lines, ["-- the time is over"])
        for arguments, code, why in [(("--client", "nonsense"), 2, "expected client="), (("--for", "soon"), 2, "no span of time")]:
            done = self.relay.umbra("watch", *arguments, check=False)
            self.assertEqual((done.returncode, why in done.stderr), (code, True), done.stderr)
        kept = self.watch()
        with session(self.relay.address) as talk:
            self.relay.process.signal(signal.SIGTERM)
            self.assertEqual(talk.reply()[0], 421)
        self.assertEqual(kept.process.wait(20), 0, kept.process.stderr)
        kept.thread.join(5)
        self.assertEqual(kept.records()[-1], {"end": "the hub is stopping"})
        self.assertIn((">", "421 4.3.2 this hub is closing, try another"), kept.said())
        self.assertEqual(self.relay.process.wait(20), 0)
        self.assertEqual(self.relay.umbra("watch", check=False).returncode, 3)

    def test_as_many_as_may_watch_and_those_that_die_make_room(self):
        eight = [self.watch() for _ in range(8)]
        done = self.relay.umbra("watch", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("as many watch already as may (8)", done.stderr)
        for one in eight:
            one.process.send_signal(signal.SIGKILL)
            one.process.wait()
        wait_until(lambda: self.relay.umbra("watch", "--for", "1s", check=False).returncode == 0, 10, "room again")
        self.assertEqual(self.send("x@back.example")[0], 250)

    def test_a_reader_that_stops_reading_slows_nothing_and_is_told_what_it_missed(self):
        def burst(messages):
            began = time.monotonic()
            with session(self.relay.address, timeout=30) as talk:
                for number in range(messages):
                    talk.send(f"MAIL FROM:<a@source.example>\r\nRCPT TO:<b{number}@back.example>\r\nDATA\r\n")
                    for _ in range(3):
                        talk.reply()
                    self.assertEqual(talk.say(f"Subject: {number}\r\n\r\nx\r\n.")[0], 250)
            return time.monotonic() - began

        alone = burst(500)
        stuck = self.watch(reads=False)
        watched = burst(2000) / 4
        self.back_end.wait_for(2500, 60)
        self.relay.wait_empty(30)
        self.assertLess(watched, alone * 4 + 2, f"500 messages took {alone:.2f} s alone, and {watched:.2f} s beside a reader that is stuck")
        stuck.read()
        wait_until(lambda: any("dropped" in one for one in stuck.records()), 20, "what is missing is told")
        missing = sum(one.get("dropped", 0) for one in stuck.records())
        self.assertGreater(missing, 1000)
        self.send("last@back.example")
        self.wait_said(stuck, "<", "RCPT TO:<last@back.example>")
        print(f"\n    {len(stuck.records())} lines read, {missing} dropped; 500 messages {alone:.2f} s alone, {watched:.2f} s watched")
