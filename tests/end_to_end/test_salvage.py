"""Damaged spools: found, set aside, taken over by the others; checked and exported by the operator's commands."""
import json
import os
import random
import subprocess

from lab import load, places
from lab.case import LabCase
from lab.process import wait_until
from lab.talk import session


def scribble(file, seed=1, first_page=1):
    """Overwrites every page of the database but the first with noise, in place."""
    noise = random.Random(seed)
    size = os.path.getsize(file)
    with open(file, "r+b", buffering=0) as database:
        for at in range(4096 * first_page, size, 4096):
            database.seek(at)
            database.write(noise.randbytes(4096))


def spool(*arguments):
    return subprocess.run([str(places.UMBRA), "spool", *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False)


class DamagedSpools(LabCase):
    MESSAGES = 4000

    def folders(self, hub):
        return sorted(hub.spool.glob("set-aside-*"))

    def damaged_under_load(self, damage, **options):
        target = self.sink("--delay", "20")
        # Nothing is kept in memory: every body is read back from the disk.
        hubs = self.cluster(3, target.address, delivery={"memory": "0B"}, **options)
        source = load.Source(self.folder, hubs.addresses, "--sessions", 30, "--messages", self.MESSAGES, "--rate", 800)
        self.addCleanup(source.stop)
        wait_until(lambda: source.acknowledged() > self.MESSAGES // 4, 60, "a quarter of the load")
        victim = hubs.hubs[1]
        before = victim.status()["spool"]
        damage(victim)
        wait_until(lambda: self.folders(victim) and victim.ready(), 60, lambda: f"a new spool; it said {victim.process.said()[-2000:]}")
        self.assertNotEqual(victim.status()["spool"], before)
        self.assertEqual(victim.metric("umbra_spools_set_aside"), 1)
        code, result = source.finish(120)
        self.assertEqual(code, 0, result)
        hubs.wait_empty(90)
        target.stop()
        ledger = load.ledger([source.ledger], [target.ledger])
        print(f"[{ledger['acknowledged']} acknowledged, {ledger['lost']} lost, {ledger['duplicated']} duplicates]", end=" ", flush=True)
        self.assert_nothing_lost(ledger)
        self.assertEqual(ledger["acknowledged"], self.MESSAGES)
        folder = self.folders(victim)[0]
        self.assertIn(spool("check", folder).returncode, (1, 5))
        exported = spool("export", folder, "--to", self.folder / "out")
        self.assertIn(exported.returncode, (1, 5), exported.stderr)

    def test_spool_damaged_under_a_running_hub(self):
        self.damaged_under_load(lambda victim: scribble(victim.spool / "spool.db", first_page=2))

    def test_spool_damaged_while_the_hub_is_down(self):
        def damage(victim):
            victim.kill()
            scribble(victim.spool / "spool.db", first_page=2)
            for name in ("spool.db-wal", "spool.db-shm"):
                (victim.spool / name).unlink(missing_ok=True)
            victim.start(wait=False)
        self.damaged_under_load(damage)

    def test_without_peers_nothing_is_moved_before_an_operator_says_so(self):
        capture = self.capture()
        capture.data_reply = lambda message: "451 4.3.0 later"
        hub = self.hub(capture.address)
        bodies = {}
        for i in range(30):
            with session(hub.address) as client:
                code, text = client.send_mail(recipients=[f"to{i}@example.com"], data=f"Subject: {i}\r\n\r\n" + f"{'line' * 20}\r\n" * 5000)
                self.assertEqual(code, 250, text)
            bodies[f"to{i}@example.com"] = i
        wait_until(lambda: len(hub.queue()) == 30, 10, "30 messages in the queue")
        self.assertEqual(hub.stop(), 0)
        whole = spool("check", hub.spool)
        self.assertEqual(whole.returncode, 0, whole.stdout + whole.stderr)
        out = self.folder / "whole"
        exported = spool("export", hub.spool, "--to", out)
        self.assertEqual(exported.returncode, 0, exported.stderr)
        envelopes = [json.loads(file.read_text()) for file in out.glob("*.json")]
        self.assertEqual({e["recipients"][0]["address"] for e in envelopes}, set(bodies))
        for envelope in envelopes:
            number = bodies[envelope["recipients"][0]["address"]]
            text = (out / f"{envelope['id']}.eml").read_text()
            self.assertIn(f"Subject: {number}\n", text)
            self.assertEqual(len((out / f"{envelope['id']}.eml").read_bytes()), envelope["size"])

        self.assertGreater((hub.spool / "spool.db").stat().st_size, 4 << 20)
        scribble(hub.spool / "spool.db", first_page=600)
        (hub.spool / "spool.db-wal").unlink(missing_ok=True)  # what the last checkpoint could not bring over hides the damage
        self.assertEqual(spool("check", hub.spool).returncode, 5)
        rest = spool("export", hub.spool, "--to", self.folder / "half")
        self.assertEqual(rest.returncode, 5, rest.stdout + rest.stderr)
        self.assertGreater(len(list((self.folder / "half").glob("*.eml"))), 5, rest.stdout + rest.stderr)
        hub.start(wait=False)
        hub.process.wait(30)
        said = hub.process.said()
        self.assertIn("umbra spool set-aside", said)
        self.assertEqual(self.folders(hub), [])
        moved = spool("set-aside", hub.spool)
        self.assertEqual(moved.returncode, 0, moved.stderr)
        folder = self.folders(hub)[0]
        self.assertIn(spool("export", folder, "--to", self.folder / "rest").returncode, (0, 1, 5))
        hub.start()
        self.assertEqual(hub.queue(), [])

    def test_a_hub_at_work_has_a_whole_spool(self):
        target = self.sink("--delay", "5")
        hub = self.hub(target.address)
        source = load.Source(self.folder, [hub.address], "--sessions", 10, "--messages", 6000, "--rate", 700, "--size", "20000")
        self.addCleanup(source.stop)
        wait_until(lambda: source.acknowledged() > 200, 60, "the load")
        looks = 0
        while source.acknowledged() < 5000:
            checked = spool("check", hub.spool)
            self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)
            exported = spool("export", hub.spool, "--to", self.folder / f"out{looks}")
            self.assertEqual(exported.returncode, 0, exported.stdout + exported.stderr)
            self.assertEqual(list((self.folder / f"out{looks}").glob("*damaged*")), [])
            looks += 1
        self.assertGreater(looks, 2)
        code, result = source.finish(120)
        self.assertEqual(code, 0, result)

    def test_a_hub_that_is_running_keeps_its_spool(self):
        hub = self.hub(self.capture().address)
        refused = spool("set-aside", hub.spool)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("in use by process", refused.stderr)
        self.assertEqual(spool("check", hub.spool).returncode, 0)
