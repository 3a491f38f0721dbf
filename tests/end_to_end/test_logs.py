"""Message tracking across hubs, and logs that cannot be written: mail does not wait, and what is missing is counted."""
import json
import pathlib
import re
import shutil
import subprocess
import time
import unittest

from lab import load
from lab.case import LabCase
from lab.process import wait_until
from lab.talk import session


def id_of(text):
    return re.search(r"(?:queued|held) as ([0-9a-f]{16}-[0-9a-f]+)", text).group(1)


class Tracking(LabCase):
    def records_of(self, hub, message):
        return [record for record in hub.records() if record["network-message-id"] == message]

    def wait_for(self, hub, message, *events):
        def there():
            return [record["event-id"] for record in self.records_of(hub, message)]
        wait_until(lambda: sorted(there()) == sorted(events), 10, lambda: f"{events} of {message} on {hub.name}: {there()}")
        return {record["event-id"]: record for record in self.records_of(hub, message)}

    def test_one_id_follows_a_message_across_hubs(self):
        capture = self.capture()
        cluster = self.cluster(2, capture.address)
        first, second = cluster.hubs
        with session(first.address) as talk:
            code, text = talk.send_mail(sender="alice@source.example", recipients=("bob@sink.example", "carol@sink.example"),
                                        data="Message-ID: <42@source.example>\r\nSubject: salary of Bob\r\n\r\nhello\r\n")
        self.assertEqual(code, 250, text)
        message = id_of(text)
        capture.wait_for(1)
        cluster.wait_empty(20)
        own = self.wait_for(first, message, "RECEIVE", "HAREDIRECT", "SEND", "SEND")
        shadow = self.wait_for(second, message, "HARECEIVE", "HADISCARD")
        received = own["RECEIVE"]
        self.assertEqual(received["source"], "SMTP")
        self.assertEqual(received["client-ip"], "127.0.0.1")
        self.assertEqual(received["client-hostname"], "test.example")
        self.assertEqual(received["connector-id"], "default")
        self.assertEqual(received["server-hostname"], "hub-1")
        self.assertEqual(received["message-id"], "<42@source.example>")
        self.assertEqual(received["sender-address"], "alice@source.example")
        self.assertEqual(received["recipient-address"], "bob@sink.example;carol@sink.example")
        self.assertEqual(received["recipient-count"], "2")
        octets = capture.messages[0].octets
        self.assertEqual(int(received["total-bytes"]), len(octets[octets.index(b"Received:"):]), "without the field that says how it was sent")
        self.assertEqual(received["message-subject"], "", "subjects are off")
        self.assertEqual(own["HAREDIRECT"]["custom-data"], "hub=hub-2")
        sent = [record for record in self.records_of(first, message) if record["event-id"] == "SEND"]
        self.assertEqual({record["recipient-address"] for record in sent}, {"bob@sink.example", "carol@sink.example"})
        self.assertEqual({record["connector-id"] for record in sent}, {"all"})
        self.assertIn("250", sent[0]["recipient-status"])
        self.assertIn("127.0.0.1", sent[0]["custom-data"])
        self.assertEqual(shadow["HARECEIVE"]["client-hostname"], "hub-1")
        self.assertEqual(shadow["HARECEIVE"]["server-hostname"], "hub-2")
        self.assertEqual(shadow["HARECEIVE"]["sender-address"], "alice@source.example")
        self.assertEqual(shadow["HADISCARD"]["custom-data"], "hub=hub-1")
        for hub in cluster.hubs:
            for file in (hub.spool / "logs").iterdir():
                self.assertRegex(file.name, r"^(MSGTRK|CONNECTLOG)\d{8}-0001\.log$")
                self.assertEqual(file.stat().st_mode & 0o777 & ~0o640, 0)
                self.assertNotIn("salary", file.read_text())
            self.assertEqual((hub.spool / "logs").stat().st_mode & 0o007, 0)
        self.assertNotIn("message_id", first.log.read_text())

    def test_a_take_over_and_a_notification_are_tracked_and_a_restart_goes_on_in_the_file(self):
        capture = self.capture()
        capture.rcpt_reply = lambda address: "550 5.1.1 nobody" if address.startswith("nobody") else "450 4.2.0 later"
        cluster = self.cluster(2, capture.address, delivery={"retry": [{"wait": "1s"}]})
        first, second = cluster.hubs
        with session(first.address) as talk:
            bounced = id_of(talk.send_mail(recipients=("nobody@sink.example",))[1])
            late = id_of(talk.send_mail(recipients=("late@sink.example",))[1])
        wait_until(lambda: any(r["event-id"] == "DSN" for r in first.records()), 10, "the notification")
        failed = next(r for r in self.records_of(first, bounced) if r["event-id"] == "FAIL")
        self.assertIn("550 5.1.1 nobody", failed["recipient-status"])
        told = next(r for r in first.records() if r["event-id"] == "DSN")
        self.assertEqual((told["reference"], told["sender-address"], told["source"]), (bounced, "<>", "DSN"))
        self.assertEqual(told["recipient-address"], "a@source.example")
        wait_until(lambda: any(r["event-id"] == "DEFER" for r in self.records_of(first, late)), 10, "a deferral")
        files = sorted(file.name for file in (first.spool / "logs").glob("MSGTRK*"))
        first.kill()
        wait_until(lambda: any(r["event-id"] == "RESUBMIT" for r in self.records_of(second, late)), 30, "the take-over")
        taken = next(r for r in self.records_of(second, late) if r["event-id"] == "RESUBMIT")
        self.assertEqual(taken["source"], "REDUNDANCY")
        self.assertIn("hub=hub-1", taken["custom-data"])
        self.assertEqual(taken["recipient-address"], "late@sink.example")
        capture.rcpt_reply = lambda address: None
        first.start()
        cluster.wait_empty(60)
        with session(first.address) as talk:
            again = id_of(talk.send_mail()[1])
        wait_until(lambda: any(r["event-id"] == "SEND" for r in self.records_of(first, again)), 10, "a delivery after the restart")
        if time.gmtime().tm_hour != 0:
            self.assertEqual(sorted(file.name for file in (first.spool / "logs").glob("MSGTRK*")), files)
        self.assertTrue(any(r["event-id"] == "SEND" for r in self.records_of(second, late)))

    def test_a_long_message_has_its_message_id_too_and_a_stop_writes_what_is_left(self):
        capture = self.capture()
        cluster = self.cluster(2, capture.address)
        first, second = cluster.hubs
        with session(first.address) as talk:
            code, text = talk.send_mail(data="Message-ID: <long@source.example>\r\n\r\n" + ("x" * 70 + "\r\n") * 8000)
            self.assertEqual(code, 250, text)
            short = id_of(talk.send_mail(data="Subject: none\r\n\r\nMessage-ID: <not in the header>\r\n")[1])
            cluster.wait_empty(20)
            last = id_of(talk.send_mail()[1])
        first.stop()
        received = {r["network-message-id"]: r["message-id"] for r in first.records() if r["event-id"] == "RECEIVE"}
        self.assertEqual(received, {id_of(text): "<long@source.example>", short: "", last: ""})
        self.assertEqual(len([r for r in second.records() if r["event-id"] == "HARECEIVE"]), 3)

    def test_a_copy_that_no_hub_takes_is_tracked_with_the_reason(self):
        capture = self.capture()
        cluster = self.cluster(2, capture.address, shadow="prefer", listener={"on_failure": "accept"})
        first, second = cluster.hubs
        second.kill()
        with session(first.address) as talk:
            code, text = talk.send_mail()
        self.assertEqual(code, 250, text)
        capture.wait_for(1)
        wait_until(lambda: any(r["event-id"] == "HAREDIRECTFAIL" for r in self.records_of(first, id_of(text))), 10, "the failure")
        failed = next(r for r in self.records_of(first, id_of(text)) if r["event-id"] == "HAREDIRECTFAIL")
        self.assertTrue(failed["source-context"])

    def test_hostile_senders_and_headers_break_no_record(self):
        capture = self.capture()
        hub = self.hub(capture.address, logs={"subjects": True})
        senders = ['"a,b"@source.example', '"a\\"b;c"@source.example', '"#x"@source.example', "=1+1@source.example", "x" * 64 + "@source.example"]
        headers = [b"Message-ID: <a\"b,c;d@x>\r\n", b"Message-ID:\r\n <folded@x>\r\n", b"Message-ID: \xff\xfe\x1b[31m<esc@x>\r\n",
                   b"Message-ID: <" + b"y" * 900 + b"@x>\r\n", b"Subject: \"\r\n ,\",\"\r\n", b"X-None: 1\r\n"]
        ids = []
        with session(hub.address) as talk:
            for sender in senders:
                for header in headers:
                    code, text = talk.send_mail(sender=sender, mail="BODY=8BITMIME", data=header + b"\r\nhello\r\n")
                    self.assertEqual(code, 250, text)
                    ids.append((id_of(text), sender, header))
        capture.wait_for(len(ids))
        wait_until(lambda: len(hub.records()) >= 2 * len(ids), 10, lambda: f"{2 * len(ids)} records: {len(hub.records())}")
        received = {r["network-message-id"]: r for r in hub.records() if r["event-id"] == "RECEIVE"}
        self.assertEqual(len(received), len(ids))
        for message, sender, header in ids:
            self.assertEqual(received[message]["sender-address"], sender)
            if b"folded" in header:
                self.assertEqual(received[message]["message-id"], "<folded@x>")
            if b"a\"b" in header:
                self.assertEqual(received[message]["message-id"], "<a\"b,c;d@x>")
        self.assertIn('" ,","', {r["message-subject"] for r in received.values()})
        text = next((hub.spool / "logs").glob("MSGTRK*")).read_bytes()
        self.assertFalse(set(text) & (set(range(32)) - {10}), "control octets in the file")

    def test_json_limits_and_what_is_switched_off_follow_a_reload(self):
        capture = self.capture()
        folder = self.folder / "records"
        hub = self.hub(capture.address, logs={"folder": str(folder), "format": "json", "tracking": {"file_size": "64KiB", "folder_size": "128KiB"}})

        def send(count):
            with session(hub.address) as talk:
                for _ in range(count):
                    self.assertEqual(talk.send_mail(recipients=[f"{'r' * 50}{i}@sink.example" for i in range(20)])[0], 250)
        send(40)
        wait_until(lambda: len(list(folder.glob("MSGTRK*"))) in (2, 3) and not list(folder.glob("MSGTRK*-0001.log")), 10, "the oldest file gone")
        wait_until(lambda: sum(f.stat().st_size for f in folder.glob("MSGTRK*")) <= 128 << 10, 5, "the folder within its limit")
        for file in folder.glob("MSGTRK*"):
            for line in file.read_text().splitlines():
                self.assertIn("event-id", json.loads(line))
        self.assertIn("not yet `age` old", hub.log.read_text())
        hub._settings["logs"]["tracking"]["enabled"] = False
        hub.write_config()
        hub.umbra("reload")
        time.sleep(0.5)
        before = {file.name: file.stat().st_size for file in folder.glob("MSGTRK*")}
        send(2)
        time.sleep(0.5)
        self.assertEqual({file.name: file.stat().st_size for file in folder.glob("MSGTRK*")}, before)


class Unwritable(LabCase):
    def send(self, hub, count, recipients=1):
        with session(hub.address) as talk:
            for _ in range(count):
                code, text = talk.send_mail(recipients=[f"{'r' * 60}{i}@sink.example" for i in range(recipients)])
                self.assertEqual(code, 250, text)

    def trouble(self, hub):
        return hub.metric('umbra_record_log_trouble{log="tracking"}') == 1

    def test_a_folder_that_is_gone_costs_mail_nothing_and_what_is_missing_is_counted(self):
        sink = self.sink()
        hub = self.hub(sink.address)
        folder = hub.spool / "logs"
        self.send(hub, 1)
        hub.wait_empty(20)
        wait_until(lambda: len(hub.records()) == 2, 5, "the records before")
        shutil.move(folder, self.folder / "moved")
        folder.write_text("a file in place of the folder")
        time.sleep(1.1)
        self.send(hub, 1)
        wait_until(lambda: self.trouble(hub), 10, "the trouble in the metrics")
        self.assertIn("tracking cannot be written", hub.umbra("status").stdout)
        # More than 8 MB of records: 101 for each message.
        source = load.Source(self.folder, [hub.address], "--sessions", 10, "--messages", 400, "--recipients", 100)
        self.addCleanup(source.stop)
        code, result = source.finish(120)
        self.assertEqual(code, 0, result)
        wait_until(lambda: hub.metric('umbra_record_log_lines_dropped_total{log="tracking"}') > 0, 60, lambda: f"records dropped: {hub.http('/metrics')[1]}")
        hub.wait_empty(60)
        self.assertTrue(hub.ready())
        folder.unlink()
        wait_until(lambda: not self.trouble(hub) and hub.metric('umbra_record_log_waiting_bytes{log="tracking"}') == 0, 20, "written again")
        self.send(hub, 1)
        hub.wait_empty(20)
        dropped = int(hub.metric('umbra_record_log_lines_dropped_total{log="tracking"}'))
        # One RECEIVE a message and one SEND a recipient, whether in a file or counted.
        events = 2 + 400 * 101 + 2
        wait_until(lambda: len(hub.records()) + dropped == events, 10, lambda: f"{len(hub.records())} records and {dropped} dropped are {events}")
        text = hub.log.read_text()
        self.assertIn("record log cannot be written", text)
        self.assertIn("record log is written again", text)
        wait_until(lambda: sum(json.loads(line)["lines_dropped"] for line in hub.log.read_text().splitlines() if "records are missing" in line) == dropped, 20,
                   "the log says how many")
        ledger = load.ledger([source.ledger], [sink.ledger])
        self.assertEqual(ledger["lost"], 0, ledger["first_lost"])

    def test_a_full_disk_costs_mail_nothing_and_no_record_is_torn(self):
        self.need_root("mounting a small file system")
        place = self.folder / "disk"
        place.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", place], capture_output=True, check=False)
        if done.returncode != 0:
            self.skipTest(f"cannot mount a tmpfs: {done.stderr.decode().strip()}")
        self.addCleanup(subprocess.run, ["umount", "-l", place], check=False)
        ballast = place / "ballast"
        ballast.write_bytes(b"x" * (200 << 10))
        capture = self.capture()
        hub = self.hub(capture.address, logs={"folder": str(place / "logs"), "connectivity": {"enabled": False}})
        self.send(hub, 60, recipients=5)
        capture.wait_for(60)
        wait_until(lambda: self.trouble(hub), 10, "the trouble in the metrics")
        for record in hub.records(folder=place / "logs"):
            self.assertIn(record["event-id"], ("RECEIVE", "SEND"))
        ballast.unlink()
        wait_until(lambda: not self.trouble(hub), 10, "written again")
        wait_until(lambda: len(hub.records(folder=place / "logs")) == 60 * 6, 10, lambda: f"{len(hub.records(folder=place / 'logs'))} records")
        self.assertEqual(hub.metric("umbra_record_log_lines_dropped_total"), 0)

    def test_a_hub_starts_without_its_folder(self):
        (self.folder / "in the way").write_text("")
        capture = self.capture()
        hub = self.hub(capture.address, logs={"folder": str(self.folder / "in the way" / "logs")})
        self.send(hub, 1)
        capture.wait_for(1)
        hub.wait_empty(10)
        wait_until(lambda: self.trouble(hub), 10, "the trouble in the metrics")
        self.assertEqual(hub.stop(), 0)
        self.assertIn("records are missing from a record log", hub.log.read_text())

    def test_the_folder_in_the_spool_does_not_trouble_what_looks_at_the_spool(self):
        capture = self.capture()
        hub = self.hub(capture.address)
        self.send(hub, 1)
        hub.wait_empty(10)
        self.assertEqual(hub.metric("umbra_spools_set_aside"), 0)
        hub.stop()
        hub.start()
        self.send(hub, 1)
        hub.wait_empty(10)
        capture.wait_for(2)
        self.assertTrue(pathlib.Path(hub.spool / "logs").is_dir())


if __name__ == "__main__":
    unittest.main()
