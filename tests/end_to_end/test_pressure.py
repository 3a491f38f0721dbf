"""Back pressure and tarpit: who waits, who is refused, what an operator sees, and that the hub recovers by itself."""
import os
import subprocess
import time

from lab import places
from lab.case import LabCase
from lab.process import wait_until
from lab.talk import session

# Ten messages are medium, twenty are high pressure.
QUEUE = {"medium": 10, "high": 20, "leave_high": 15, "leave_medium": 5}
PRESSURE = {"queue": QUEUE, "history_depth": 5, "trusted_domains": ["own.example"], "disk": {"medium": 101, "high": 101, "leave_high": 101, "leave_medium": 101},
            "log_disk": {"medium": 101, "high": 101, "leave_high": 101, "leave_medium": 101}}


def timed(talk, line):
    began = time.monotonic()
    code, text = talk.say(line)
    return code, text, time.monotonic() - began


class Pressure(LabCase):
    def level(self, hub):
        return hub.status()["pressure"]["level"]

    def test_a_queue_that_grows_slows_strangers_then_refuses_all_and_recovers(self):
        port = places.free_port()
        hub = self.hub(f"127.0.0.1:{port}", pressure=PRESSURE, delivery={"retry": [{"wait": "1s"}]})
        sent = 0
        with session(hub.address) as own, session(hub.address, timeout=70) as stranger:
            for _ in range(12):
                self.assertEqual(own.send_mail(sender="a@own.example")[0], 250)
                sent += 1
            wait_until(lambda: self.level(hub) == "medium", 10, "medium pressure")
            code, text, seconds = timed(stranger, "MAIL FROM:<a@stranger.example>")
            self.assertEqual(code, 250, text)
            self.assertGreater(seconds, 9)
            stranger.say("RSET")
            status = hub.status()["pressure"]
            self.assertEqual((status["level"], status["cause"]), ("medium", "queue"))
            self.assertIn("queue", hub.umbra("status").stdout)
            self.assertEqual(hub.metric('umbra_pressure_level{resource="queue"}'), 1)
            code, text, seconds = timed(own, "MAIL FROM:<a@own.example>")
            self.assertEqual(code, 250, text)
            self.assertLess(seconds, 5)
            own.say("RSET")
            # 55 s and the history later: 452, for strangers only.
            def refused():
                code, _ = stranger.say("MAIL FROM:<a@stranger.example>")
                stranger.say("RSET")
                return code == 452
            wait_until(refused, 120, "452 for a stranger")
            for _ in range(10):
                self.assertEqual(own.send_mail(sender="a@own.example")[0], 250)
                sent += 1
            wait_until(lambda: self.level(hub) == "high", 10, "high pressure")
            self.assertEqual(own.say("MAIL FROM:<a@own.example>"), (452, "4.3.1 Insufficient system resources"))
            self.assertGreaterEqual(hub.metric("umbra_pressure_refusals_total"), 2)
            with session(hub.address) as third:
                self.assertEqual(third.say("NOOP")[0], 250, "connections are always accepted")
            capture = self.capture(port=port)
            wait_until(lambda: self.level(hub) == "normal", 60, lambda: f"normal again: {hub.status()['pressure']}")
            self.assertEqual(own.send_mail(sender="a@own.example")[0], 250)
            sent += 1
        capture.wait_for(sent)
        hub.wait_empty(20)

    def test_a_disk_that_fills_up_is_high_pressure_by_its_size(self):
        self.need_root("mounting a small file system")
        place = self.folder / "disk"
        place.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", place], capture_output=True, check=False)
        if done.returncode != 0:
            self.skipTest(f"cannot mount a tmpfs: {done.stderr.decode().strip()}")
        self.addCleanup(subprocess.run, ["umount", "-l", place], check=False)
        capture = self.capture()
        hub = self.hub(capture.address, reserve="1MB", spool=place / "spool", pressure={"history_depth": 5})
        disk = next(one for one in hub.status()["pressure"]["resources"] if one["resource"] == "disk")
        self.assertEqual((round(disk["medium"]), round(disk["high"])), (80, 90))
        statistics = os.statvfs(place)
        filler = place / "filler"
        free = statistics.f_bavail * statistics.f_frsize
        subprocess.run(["fallocate", "-l", str(free - 15 * 1024 * 1024), filler], check=True)
        wait_until(lambda: self.level(hub) == "high", 10, "high pressure")
        with session(hub.address) as talk:
            self.assertEqual(talk.say("MAIL FROM:<a@source.example>")[0], 452)
            filler.unlink()
            wait_until(lambda: self.level(hub) == "normal", 10, "normal pressure")
            self.assertEqual(talk.send_mail()[0], 250)
        capture.wait_for(1)

    def test_marks_that_are_out_of_order_are_refused(self):
        hub = self.hub("127.0.0.1:9", start=False, pressure={"inodes": {"high": 90}})
        hub.write_config()
        done = subprocess.run([places.UMBRA, "check", hub.config], capture_output=True, text=True, timeout=30, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("pressure.inodes", done.stdout + done.stderr)


class PeersUnderPressure(LabCase):
    def test_copies_go_to_hubs_that_are_not_short_and_come_back(self):
        port = places.free_port()
        cluster = self.cluster(3, f"127.0.0.1:{port}", pressure=PRESSURE, delivery={"retry": [{"wait": "1s"}]})
        one, two, three = cluster.hubs

        def told(level):
            return all(next(peer for peer in hub.status()["peers"] if peer["hub"] == two.name)["pressure"] == level for hub in (one, three))
        with session(two.address) as talk:
            for _ in range(12):
                self.assertEqual(talk.send_mail(sender="a@own.example")[0], 250)
        wait_until(lambda: told("medium"), 10, "the others know")
        self.assertIn("medium", next(line for line in one.umbra("peers").stdout.splitlines() if line.startswith(two.name)))
        self.assertEqual(one.metric('umbra_peer_pressure_level{hub="hub-2"}'), 1)
        before = two.counts()["shadows"]
        with session(one.address) as talk:
            for _ in range(6):
                self.assertEqual(talk.send_mail(sender="a@own.example")[0], 250)
            self.assertEqual(two.counts()["shadows"], before, "copies went to the hub that is short")
            # Where there is no other hub its copy is better than none.
            three.kill()
            self.assertEqual(talk.send_mail(sender="a@own.example")[0], 250)
            self.assertGreater(two.counts()["shadows"], before)
        three.start()
        cluster.wait_joined()
        capture = self.capture(port=port)
        wait_until(lambda: told("normal"), 60, lambda: f"normal again: {one.status()['peers']}")
        capture.wait_for(19)
        cluster.wait_empty(30)
        self.assertEqual(len(capture.messages), 19)

    def test_a_hub_that_leaves_hands_its_mail_to_hubs_that_are_not_short(self):
        port = places.free_port()
        cluster = self.cluster(3, f"127.0.0.1:{port}", pressure=PRESSURE, delivery={"retry": [{"wait": "1s"}]})
        one, two, three = cluster.hubs
        for hub, count in ((two, 12), (one, 8)):
            with session(hub.address) as talk:
                for _ in range(count):
                    self.assertEqual(talk.send_mail(sender="a@own.example")[0], 250)
        wait_until(lambda: next(peer for peer in one.status()["peers"] if peer["hub"] == two.name)["pressure"] == "medium", 10, "it is told")
        self.assertEqual(one.umbra("leave", "--unready-wait", "0s", "--deadline", "40s").returncode, 0)
        self.assertEqual((two.counts()["messages"], three.counts()["messages"]), (12, 8))
        capture = self.capture(port=port)
        capture.wait_for(20, seconds=40)


class Tarpit(LabCase):
    def test_a_failed_command_waits_and_a_right_one_does_not(self):
        capture = self.capture()
        hub = self.hub(capture.address, listener={"tarpit": "2s", "networks": ["127.0.0.1/32"]})
        with session(hub.address) as talk:
            self.assertLess(timed(talk, "NOOP")[2], 1)
            code, _, seconds = timed(talk, "BANANA")
            self.assertEqual(code, 500)
            self.assertGreater(seconds, 1.9)
            began = time.monotonic()
            self.assertEqual(talk.say("MAIL FROM:<a@source.example>")[0], 250)
            self.assertEqual(talk.say("RCPT TO:<b@sink.example>")[0], 250)
            for chunk in range(5):
                talk.send(b"BDAT 8%s\r\nhello%d\r\n" % (b" LAST" if chunk == 4 else b"", chunk))
                self.assertEqual(talk.reply()[0], 250)
            self.assertLess(time.monotonic() - began, 1.5, "no chunk waits")
        capture.wait_for(1)
