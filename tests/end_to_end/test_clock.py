"""A wall clock that jumps by three days and back (libfaketime), under mail that waits for its retry, is held, or is suspended: nothing expires,
no retry comes early or late, and new mail goes through."""
import pathlib
import time

from lab.case import LabCase
from lab.hub import route_to
from lab.process import wait_until
from lab.talk import session

RETRY = 12  # seconds between two tries
LIBRARY = next(iter(sorted(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)


class Clock(LabCase):
    def setUp(self):
        super().setUp()
        if LIBRARY is None:
            self.skipTest("libfaketime is missing (Debian: faketime)")
        self.clock = self.folder / "clock"
        self.set_clock("+0")
        self.next_hop = self.capture()
        self.suspended_hop = self.capture()
        self.tries = []
        self.is_away = True
        self.next_hop.rcpt_reply = self.answer
        self.relay = self.hub(routes=[route_to(self.suspended_hop.address, name="calm", domains=["calm.example"]), route_to(self.next_hop.address)],
                              delivery={"retry": [{"wait": f"{RETRY}s"}]}, start=False)
        self.relay.start(wrapper=("env", f"LD_PRELOAD={LIBRARY}", f"FAKETIME_TIMESTAMP_FILE={self.clock}", "FAKETIME_CACHE_DURATION=1",
                                  "FAKETIME_DONT_FAKE_MONOTONIC=1", "NO_FAKE_STAT=1"))

    def set_clock(self, offset):
        self.clock.write_text(offset + "\n")

    def answer(self, address):
        if not self.is_away or address.startswith("new@"):
            return None
        if address.startswith("later@"):
            self.tries.append(time.monotonic())
        return "451 4.7.1 later"

    def send(self, recipient):
        with session(self.relay.address) as talk:
            code, text = talk.send_mail(recipients=(recipient,))
        self.assertEqual(code, 250, text)
        return text.split()[-1]

    def states(self):
        return sorted(message["state"] for message in self.relay.queue())

    def jump(self, offset):
        """The clock is set, stays so for a while, and new mail comes meanwhile."""
        expected, delivered = self.states(), len(self.next_hop.messages)
        last = self.tries[-1]
        self.set_clock(offset)
        time.sleep(2.5)  # libfaketime looks once a second
        self.send("new@sink.example")
        self.next_hop.wait_for(delivered + 1, seconds=5)
        wait_until(lambda: self.states() == expected, 5, lambda: f"the record of the delivery: {self.states()}")
        # The next try comes when it is due by a clock that did not jump.
        wait_until(lambda: self.tries[-1] != last, RETRY + 8, f"the retry with the clock at {offset}")
        self.assertGreater(self.tries[-1] - last, RETRY - 2, f"a retry came early with the clock at {offset}")
        self.assertEqual(self.states(), expected)
        self.assertEqual([self.relay.events(kind) for kind in ("expired", "bounced", "delayed")], [[], [], []])

    def test_mail_neither_expires_nor_is_tried_early_nor_waits_longer(self):
        self.relay.umbra("suspend", "delivery", "route:calm", "--reason", "the clock")
        self.send("b@calm.example")
        held = self.send("held@sink.example")
        wait_until(lambda: self.relay.events("deferred"), 10, "it has been tried")
        self.relay.umbra("queue", "hold", held)
        self.send("later@sink.example")
        wait_until(lambda: self.tries, 10, "the first try")
        self.assertEqual(self.states().count("held"), 1)
        for offset in ("+3d", "+0", "-3d", "+0"):
            with self.subTest(offset):
                self.jump(offset)
        self.is_away = False
        self.relay.umbra("resume", "delivery", "route:calm")
        for message in self.relay.queue():
            if message["state"] == "held":
                self.relay.umbra("queue", "release", message["id"])
        self.relay.wait_empty(RETRY + 20)
        self.assertEqual(len(self.suspended_hop.messages), 1)
        names = [message.addresses[0].partition("@")[0] for message in self.next_hop.messages]
        self.assertEqual((names.count("later"), names.count("held"), names.count("new")), (1, 1, 4), names)
