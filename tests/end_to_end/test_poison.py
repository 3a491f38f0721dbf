"""A message that ends the hub whenever it is delivered. Its next hop does it: when it has the whole message it kills the hub
that sent it (SIGKILL), as a message that breaks the code that handles it would."""
import threading

from lab.case import LabCase
from lab.process import wait_until
from lab.talk import session


class PoisonedMessages(LabCase):
    def killer(self, hubs):
        """A next hop that ends the one of `hubs` that gives it the message."""
        capture = self.capture()
        self.kills = []
        self.is_deadly = True

        def reply(message):
            if self.is_deadly and b"X-Poison" in message.octets:
                for hub in hubs():
                    if message.helo == f"{hub.name}.example" and hub.process.alive():
                        self.kills.append(hub.name)
                        hub.kill()
                        return "close"
            return None
        capture.data_reply = reply
        return capture

    def send(self, hub, number, extra=""):
        with session(hub.address) as client:
            code, text = client.send_mail(recipients=[f"r{number}@sink.example"], data=f"Subject: {number}\r\n{extra}\r\n\r\nbody\r\n" if extra
                                          else f"Subject: {number}\r\n\r\nbody\r\n")
        self.assertEqual(code, 250, text)

    def keep_alive(self, hub, stop):
        while not stop.wait(0.2):
            if not hub.process.alive():
                try:
                    hub.start(wait=False)
                except Exception as error:  # told by what the test then waits for
                    print(error)

    def test_it_is_held_after_three_ends_and_the_rest_flows(self):
        hub = None
        capture = self.killer(lambda: [hub])
        hub = self.hub(capture.address)
        stop = threading.Event()
        keeper = threading.Thread(target=self.keep_alive, args=(hub, stop))
        for number in range(10):
            self.send(hub, number)
        keeper.start()
        self.addCleanup(keeper.join)
        self.addCleanup(stop.set)
        self.send(hub, 666, "X-Poison: yes")
        wait_until(lambda: len(self.kills) >= 3, 60, lambda: f"three ends, there were {self.kills}")
        wait_until(hub.ready, 30, "the hub again")
        wait_until(lambda: [m["state"] for m in hub.queue()] == ["held"], 30, lambda: f"it is held: {hub.queue()}")
        for number in range(10, 20):
            self.send(hub, number)
        wait_until(lambda: {m.addresses[0] for m in capture.messages} >= {f"r{n}@sink.example" for n in range(20)}, 30, "all the others")
        self.assertEqual(len(self.kills), 3)
        held = hub.queue()[0]
        self.assertIn("ended 3 times", hub.umbra("queue", "show", held["id"]).stdout)
        self.assertEqual(hub.metric("umbra_messages_poisoned_total"), 1)
        # The operator has mended what broke, and lets it go on.
        self.is_deadly = False
        hub.umbra("queue", "release", held["id"])
        wait_until(lambda: "r666@sink.example" in {m.addresses[0] for m in capture.messages}, 30, "the message itself")
        hub.wait_empty(30)

    def test_its_count_goes_with_it_when_another_hub_takes_over(self):
        hubs = None
        capture = self.killer(lambda: hubs.hubs)
        hubs = self.cluster(2, capture.address, shadow="prefer", cluster={"return_wait": "3s"})
        first, second = hubs.hubs
        self.send(first, 666, "X-Poison: yes")
        wait_until(lambda: len(self.kills) == 1, 30, "the first end")
        first.start()
        wait_until(lambda: len(self.kills) == 2, 60, lambda: f"the second end: {self.kills}")
        self.assertEqual(set(self.kills), {"hub-1"})
        # It does not come back: the other one takes over. It was told of the first end, and counts its own.
        stop = threading.Event()
        keeper = threading.Thread(target=self.keep_alive, args=(second, stop))
        keeper.start()
        self.addCleanup(keeper.join)
        self.addCleanup(stop.set)
        wait_until(lambda: len(self.kills) >= 4, 90, lambda: f"the ends of the other hub: {self.kills}")
        wait_until(second.ready, 30, "the hub again")
        wait_until(lambda: [m["state"] for m in second.queue()] == ["held"], 60, lambda: f"it is held: {second.queue()}")
        self.assertEqual(self.kills, ["hub-1", "hub-1", "hub-2", "hub-2"])
