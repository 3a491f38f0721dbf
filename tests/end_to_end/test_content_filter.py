"""Content filters: what real ones refuse and change is refused and changed, and one that is down, hangs or talks nonsense costs nobody more
than its deadline, loses nothing and lets nothing through that is not said."""
import json
import subprocess
import threading
import time
import unittest

from lab import places
from lab.case import LabCase
from lab.content_filters import (ACCEPT, CONTINUE, DISCARD, GTUBE, GTUBE_MARK, OPENDKIM, REJECT, RSPAMD, TEMPFAIL, Filter, OpenDkim, Rspamd, add_header,
                                 negotiation, packet)
from lab.hub import route_to
from lab.process import wait_until
from lab.talk import session

SHORT = {"connect_timeout": "500ms", "command_timeout": "1s", "content_timeout": "1s", "end_of_message_timeout": "1s", "message_timeout": "3s", "retry_after": "1s"}


# What a hub puts on top of what it sends on.
TRACE = rb"^Umbra-Hop: [^\r]+(\r\n\t[^\r]+)*\r\nReceived: "


class ContentFilterCase(LabCase):
    def filter(self, answers=None, start=True):
        rogue = Filter(answers)
        self.addCleanup(rogue.stop)
        return rogue.start() if start else rogue

    def filtered_hub(self, capture, *filters, **options):
        listed = [{"name": f"filter{i}", **(one if isinstance(one, dict) else {"address": one.address})} for i, one in enumerate(filters)]
        return self.hub(capture.address, filters=listed, **options)

    def send(self, hub, **mail):
        with session(hub.address) as talk:
            return talk.send_mail(**mail)


@unittest.skipUnless(RSPAMD and OPENDKIM, "rspamd and opendkim are not installed")
class RealFilters(ContentFilterCase):
    def test_rspamd_refuses_and_marks(self):
        rspamd = Rspamd(self.folder / "rspamd").start()
        self.addCleanup(rspamd.stop)
        capture = self.capture()
        hub = self.filtered_hub(capture, rspamd)
        header = "Subject: x\r\nFrom: a@source.example\r\nDate: Fri, 27 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@source.example>\r\n\r\n"
        with session(hub.address) as talk:
            code, text = talk.send_mail(data=header + GTUBE + "\r\n")
            self.assertEqual(code, 554, text)
            self.assertIn("5.7.1", text)
            self.assertEqual(talk.send_mail(data=header + GTUBE_MARK + "\r\n")[0], 250)
            self.assertEqual(talk.send_mail(data=header + "an honest word\r\n")[0], 250)
        marked, plain = capture.wait_for(2)
        hub.wait_empty(10)
        self.assertIn(b"\r\nX-Spam: Yes\r\n", marked.octets)
        self.assertIn(GTUBE_MARK.encode(), marked.octets)
        self.assertNotIn(b"X-Spam:", plain.octets)
        self.assertTrue(plain.octets.endswith(header.encode() + b"an honest word\r\n"), "what a filter leaves alone comes out as it went in")
        self.assertEqual(hub.metric("umbra_content_filter_refused_total"), 1)
        self.assertEqual(hub.metric("umbra_content_filter_changed_total"), 1)
        self.assertEqual(hub.metric("umbra_content_filter_failures_total"), 0)
        self.assertEqual((self.folder / "rspamd/rspamd.out").read_text().count("accepted milter connection"), 2, "the probe of the test, and one for three messages of a client")

    def test_opendkim_signs_and_its_signature_verifies_on_the_next_hub(self):
        signer = OpenDkim(self.folder / "signer", "s").start()
        self.addCleanup(signer.stop)
        verifier = OpenDkim(self.folder / "verifier", "v", key=signer.key).start()
        self.addCleanup(verifier.stop)
        capture = self.capture()
        second = self.hub(capture.address, name="second", filters=[{"name": "verify", "address": verifier.address}])
        first = self.hub(second.address, name="first", filters=[{"name": "sign", "address": signer.address}])
        subject = "Subject: folded\r\n\tover  two lines\r\n"
        body = "".join(f"line {i} of a body that takes several packets\r\n" for i in range(20_000))
        self.assertEqual(self.send(first, data=f"From: <a@source.example>\r\n{subject}Message-ID: <1@source.example>\r\n\r\n{body}\r\n.. a dot\r\n")[0], 250)
        self.assertEqual(self.send(first, data=f"From: <a@source.example>\r\n{subject}\r\nshort\r\n")[0], 250)
        messages = capture.wait_for(2, seconds=30)
        for message in messages:
            self.assertIn(b"DKIM-Signature: v=1;", message.octets)
            self.assertRegex(message.octets, rb"Authentication-Results: verifier\.example;\s+dkim=pass")
            self.assertRegex(message.octets, TRACE, "what a filter puts on top stands below the hub's own trace")
        self.assertEqual(max(len(message.body) for message in messages), len(body) + len("\r\n. a dot\r\n"))
        for hub in (first, second):
            hub.wait_empty(10)
            self.assertEqual(hub.metric("umbra_content_filter_failures_total"), 0)


class FilterAnswers(ContentFilterCase):
    def test_every_change_is_in_what_is_delivered_and_in_the_copy(self):
        changes = b"".join((add_header("X-Last", "folded\n\there"), packet("i", b"\0\0\0\1X-First\0one\0"), packet("m", b"\0\0\0\1Subject\0another\0"),
                            packet("m", b"\0\0\0\1X-Secret\0\0"), packet("-", b"<b@sink.example>\0"), packet("+", b"<c@sink.example>\0"),
                            packet("2", b"<d@sink.example>\0NOTIFY=NEVER\0"), packet("e", b"<other@source.example>\0"),
                            packet("b", b"a bare LF\nand a split CR\r"), packet("b", "\nünd 8 bits\r\n".encode()), CONTINUE))
        rogue = self.filter({"E": changes})
        capture = self.capture()
        capture.data_reply = lambda message: "451 4.0.0 later"
        hubs = self.cluster(2, capture.address, lease="2s", filters=[{"name": "all", "address": rogue.address}])
        first, second = hubs.hubs
        with session(first.address) as talk:
            code, text = talk.send_mail(data="Subject: x\r\nX-Secret: y\r\n\r\nthe old body\r\n")
        self.assertEqual(code, 250, text)
        self.assertEqual(second.counts()["shadows"], 1)
        # The owner goes for good: what the other hub delivers is what it was given before the 250.
        first.kill()
        capture.data_reply = lambda message: None
        second.wait_ready()
        wait_until(lambda: second.counts()["messages"] == 1, 30, "the take-over")
        wait_until(lambda: capture.messages or second.umbra("queue", "retry", second.queue()[0]["id"], check=False).returncode == 0, 20, "it may be tried")
        message = capture.wait_for(1, seconds=30)[0]
        self.assertEqual(message.sender, "other@source.example")
        self.assertEqual(sorted(message.recipients), [("c@sink.example", ""), ("d@sink.example", "NOTIFY=NEVER")])
        trace, _, rest = message.octets.partition(b"X-First: one\r\n")
        self.assertRegex(trace, TRACE)
        self.assertEqual(rest.decode(), "Subject: another\r\nX-Last: folded\r\n\there\r\n\r\na bare LF\r\nand a split CR\r\nünd 8 bits\r\n")
        self.assertEqual(rogue.messages(), 1, "a take-over does not filter again")
        self.assertIn("BODY=8BITMIME", message.sender_parameters)

    def test_verdicts_become_replies(self):
        # What is said of the client comes first: later messages of the session begin with MAIL.
        cases = [({"C": packet("y", b"421 4.3.2 not now\0")}, (451, "4.3.2 not now")), ({"E": REJECT}, (550, "5.7.1")), ({"E": TEMPFAIL}, (451, "4.7.1")), ({"E": packet("y", b"554-5.6.0 one\r\n554 5.6.0 two\0")}, (554, "5.6.0 one")),
                 ({"R": packet("y", b"550 5.1.1 nobody here\0")}, (550, "5.1.1 nobody here")),
                 ({"E": DISCARD}, (250, "2.0.0 discarded")), ({"M": ACCEPT}, (250, "2.6.0 queued")), ({"E": packet("-", b"<b@sink.example>\0") + CONTINUE}, (250, "2.0.0 discarded"))]
        rogue = self.filter()
        capture = self.capture()
        hub = self.filtered_hub(capture, rogue)
        with session(hub.address) as talk:
            for rogue.answers, (code, text) in cases:
                got = talk.send_mail()
                self.assertEqual((got[0], got[1][:len(text)]), (code, text), rogue.answers)
        capture.wait_for(1)
        hub.wait_empty(10)
        time.sleep(0.2)
        self.assertEqual(len(capture.messages), 1, "of all these only the accepted one")
        self.assertEqual(len([event for event in hub.events("filtered") if event["verdict"] == "discarded"]), 2)
        self.assertEqual(hub.metric("umbra_content_filter_failures_total"), 0)

    def test_filters_are_asked_in_order_and_only_for_their_listeners_and_clients(self):
        first, second, other = (self.filter({"E": add_header("X-Filter", name) + CONTINUE}) for name in ("one", "two", "three"))
        capture = self.capture()
        hub = self.filtered_hub(capture, {"address": first.address, "networks": ["127.0.0.0/8"]}, {"address": second.address, "listeners": ["default"]},
                                {"address": other.address, "networks": ["10.0.0.0/8"]})
        self.assertEqual(self.send(hub)[0], 250)
        message = capture.wait_for(1)[0]
        self.assertIn(b"X-Filter: one\r\nX-Filter: two\r\n", message.octets)
        self.assertIn(("L", b"X-Filter\0one\0"), second.said)
        self.assertEqual(other.connections, 0)

    def test_a_large_message_goes_through_in_pieces_and_comes_out_as_it_was(self):
        rogue = self.filter({"O": negotiation(protocol=0x80000), "B": b""})  # does not answer to pieces of a body
        capture = self.capture()
        hub = self.filtered_hub(capture, rogue)
        body = "".join(f"{i:08} {'x' * 80}\r\n" for i in range(60_000))
        before = hub.metric("process_resident_memory_bytes")
        self.assertEqual(self.send(hub, data="Subject: x\r\n\r\n" + body)[0], 250)
        message = capture.wait_for(1, seconds=30)[0]
        self.assertEqual(message.body, body.encode())
        pieces = [data for letter, data in rogue.said if letter == "B"]
        self.assertEqual(b"".join(pieces), body.encode())
        self.assertLessEqual(max(map(len, pieces)), 65535)
        self.assertLess(hub.metric("process_resident_memory_bytes") - before, 40e6)
        # What was kept aside for the filter is gone: nothing but the message was in the spool.
        hub.wait_empty(10)

    def test_a_reload_changes_filters_and_a_wrong_one_is_refused(self):
        rogue = self.filter({"E": REJECT})
        capture = self.capture()
        hub = self.hub(capture.address, filters=[])
        self.assertEqual(self.send(hub)[0], 250)
        config = json.loads(hub.config.read_text())
        config["content_filters"] = [{"name": "new", "address": rogue.address}]
        hub.config.write_text(json.dumps(config))
        hub.umbra("reload")
        self.assertEqual(self.send(hub)[0], 550)
        config["content_filters"] = [{"name": "a", "address": "nowhere", "listeners": ["b"]}, {"name": "a", "address": "/a"}]
        hub.config.write_text(json.dumps(config))
        done = subprocess.run([places.UMBRA, "check", hub.config], capture_output=True, text=True, timeout=30, check=False)
        self.assertNotEqual(done.returncode, 0)
        for words in ("expected host:port, or the path", "there is no listener", "is the name of another filter"):
            self.assertIn(words, done.stdout + done.stderr)


class FiltersThatFail(ContentFilterCase):
    def test_when_down_says_what_the_client_is_told(self):
        capture = self.capture()
        for policy, expected in (("tempfail", (451, "4.7.1")), ("reject", (554, "5.7.1")), ("accept", (250, "2.6.0"))):
            down = self.filter(start=False)
            hub = self.filtered_hub(capture, {"address": down.address, "when_down": policy, **SHORT}, name=policy)
            code, text = self.send(hub)
            self.assertEqual((code, text[:5]), expected, policy)
        message = capture.wait_for(1)[0]
        received = message.octets.partition(b"\r\nReceived: ")[2].partition(b";")[0]
        self.assertRegex(received, rb"\(content filter filter0 bypassed: connect to [^)]*Connection refused\)")
        self.assertEqual([event["filter"] for event in hub.events("filter_bypassed")], ["filter0"])
        self.assertEqual(hub.metric("umbra_content_filter_bypassed_total"), 1)
        hub.wait_empty(10)
        self.assertEqual(len(capture.messages), 1, "what was refused is not delivered")

    def test_nonsense_hangs_and_crashes_are_failures_within_their_deadlines(self):
        capture = self.capture()
        rogue = self.filter()
        hub = self.filtered_hub(capture, {"address": rogue.address, **SHORT, "retry_after": "100ms"})
        cases = {"wrong version": {"O": negotiation(version=9)}, "unknown stages": {"O": negotiation(protocol=0x40000000)},
                 "impossible length": {"C": b"\xff\xff\xff\xff" + b"c" * 100}, "zero length": {"H": b"\0\0\0\0"}, "HTTP": {"O": b"HTTP/1.1 400 Bad Request\r\n\r\n"},
                 "unknown letter": {"M": packet("Z")}, "change too early": {"M": add_header("X-A", "b")}, "injected header": {"E": add_header("X-A", "b\nBcc: x")},
                 "injected reply": {"E": packet("y", b"550 no\r\n250 2.0.0 yes\0")}, "positive reply": {"E": packet("y", b"250 2.0.0 yes\0")},
                 "recipient that is none": {"E": packet("+", b"<c@d>\r\nRCPT TO:<e@f>\0") + CONTINUE}, "too many changes": {"E": add_header("X-A", "b") * 3000},
                 "body for ever": {"E": packet("b", b"x" * 60000) * 1200}, "crash at once": {"O": "close"}, "crash in the body": {"B": "close"}, "crash at the end": {"E": "close"},
                 "hangs at the end": {"E": "hang"}, "hangs at once": {"O": "hang"}, "hangs in the body": {"B": "hang"}, "is for ever at work": {"E": "at work"}}
        with session(hub.address, timeout=30) as talk:
            for name, answers in cases.items():
                # The negotiation is one of a new connection.
                rogue.stop()
                rogue.answers = answers
                rogue.start()
                began = time.monotonic()
                code, text = talk.send_mail()
                self.assertEqual((code, text[:5]), (451, "4.7.1"), name)
                self.assertLess(time.monotonic() - began, 6, name)
                rogue.answers = {}
                wait_until(lambda: talk.send_mail()[0] == 250, 10, f"well again after: {name}", pause=0.2)
        self.assertEqual(hub.metric("umbra_content_filter_failures_total"), len(cases))
        delivered = len(cases)
        capture.wait_for(delivered)
        hub.wait_empty(10)
        self.assertEqual(len(capture.messages), delivered, "what failed was not delivered")
        self.assertTrue(all(b"X-A" not in message.octets and b"Bcc" not in message.octets for message in capture.messages))

    def test_a_dead_filter_slows_nobody_and_one_message_finds_out_that_it_is_back(self):
        capture = self.capture()
        rogue = self.filter({"E": "hang"})
        hub = self.filtered_hub(capture, {"address": rogue.address, **SHORT, "end_of_message_timeout": "2s", "retry_after": "8s"})
        with session(hub.address, timeout=30) as talk:
            for _ in range(3):
                self.assertEqual(talk.send_mail()[0], 451)
            connections, began = rogue.connections, time.monotonic()
            for _ in range(50):
                self.assertEqual(talk.send_mail()[0], 451)
            self.assertLess(time.monotonic() - began, 6, "nobody waits for a filter that is down")
            self.assertEqual(rogue.connections, connections)
            self.assertEqual(hub.metric("umbra_content_filter_down"), 1)
            [report] = hub.status()["content_filters"]
            self.assertEqual((report["state"], report["last_failure"]), ("down", "end of message: no answer in time"))
            self.assertIn("filter0 is down", hub.umbra("status").stdout)
            # The time has come, and many ask at once: one of them tries, the others do not wait for it.
            time.sleep(8.2 - (time.monotonic() - began))
            replies = []

            def one():
                begun = time.monotonic()
                with session(hub.address, timeout=30) as other:
                    replies.append((other.send_mail()[0], time.monotonic() - begun))
            clients = [threading.Thread(target=one) for _ in range(10)]
            for client in clients:
                client.start()
            for client in clients:
                client.join()
            self.assertEqual({code for code, _ in replies}, {451})
            self.assertEqual(sum(1 for _, seconds in replies if seconds > 1.5), 1, replies)
            rogue.answers = {}
            wait_until(lambda: talk.send_mail()[0] == 250, 20, "the filter is back", pause=0.2)
        self.assertEqual(hub.metric("umbra_content_filter_down"), 0)
        capture.wait_for(1)

    def test_a_filter_that_was_started_anew_is_noticed_by_nobody(self):
        capture = self.capture()
        rogue = self.filter()
        hub = self.filtered_hub(capture, rogue)
        with session(hub.address) as talk:
            for _ in range(3):
                self.assertEqual(talk.send_mail()[0], 250)
            self.assertEqual(rogue.connections, 1, "connections are used again")
            rogue.stop()
            rogue.start()
            self.assertEqual(talk.send_mail()[0], 250)
        self.assertEqual(rogue.connections, 2)
        self.assertEqual(hub.metric("umbra_content_filter_failures_total"), 0)
        capture.wait_for(4)

    def test_a_busy_filter_is_not_taken_for_a_dead_one(self):
        capture = self.capture()
        rogue = self.filter({"E": lambda data: time.sleep(1.5) or CONTINUE})
        hub = self.filtered_hub(capture, {"address": rogue.address, **SHORT, "end_of_message_timeout": "3s", "connections": 1, "when_down": "accept"})
        replies = []

        def one():
            with session(hub.address, timeout=30) as talk:
                replies.append(talk.send_mail())
        clients = [threading.Thread(target=one) for _ in range(3)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        self.assertEqual(sorted(code for code, _ in replies), [250, 451, 451])
        self.assertEqual(hub.metric("umbra_content_filter_busy_total"), 2)
        self.assertEqual(hub.metric("umbra_content_filter_bypassed_total"), 0, "a flood gets nobody past a filter")

    def test_a_hub_that_stops_does_not_wait_for_its_filter(self):
        capture = self.capture()
        rogue = self.filter({"E": "hang"})
        hub = self.filtered_hub(capture, rogue)
        replies = []

        def one():
            with session(hub.address, timeout=30) as talk:
                replies.append(talk.send_mail())
        client = threading.Thread(target=one)
        client.start()
        wait_until(lambda: rogue.messages() == 1, 10, "the message is before the filter")
        began = time.monotonic()
        self.assertEqual(hub.stop(), 0)
        client.join()
        self.assertLess(time.monotonic() - began, 8)
        self.assertEqual(replies[0][0], 451)
        hub.start()
        self.assertEqual(hub.counts()["messages"], 0)


class QueueAndWait(ContentFilterCase):
    WAIT = {"when_down": "queue_and_wait", **SHORT}

    def send_numbered(self, hub, first, count):
        with session(hub.address, timeout=30) as talk:
            for number in range(first, first + count):
                code, text = talk.send_mail(data=f"Subject: {number}\r\n\r\nbody\r\n")
                self.assertEqual(code, 250, text)
                self.assertIn("held as", text)

    @staticmethod
    def numbers(messages):
        return [int(message.octets.partition(b"Subject: ")[2].partition(b"\r\n")[0]) for message in messages]

    def assert_all_filtered_in_order(self, capture, count):
        messages = capture.wait_for(count, seconds=60)
        self.assertEqual(self.numbers(messages), list(range(count)))
        for message in messages:
            self.assertEqual(message.octets.count(b"X-Filtered: yes\r\n"), 1)
            self.assertRegex(message.octets, TRACE)

    def one_connection(self, capture):
        return [route_to(capture.address, connections=1)]

    def test_mail_waits_over_a_kill_and_passes_its_filter_in_order(self):
        capture = self.capture()
        rogue = self.filter({"E": add_header("X-Filtered", "yes") + CONTINUE}, start=False)
        hub = self.hub(routes=self.one_connection(capture), filters=[{"name": "spam", "address": rogue.address, **self.WAIT}])
        self.send_numbered(hub, 0, 20)
        hub.kill()
        hub.start()
        wait_until(lambda: hub.metric("umbra_content_filter_waiting_messages") == 20, 10, "what waits is known again")
        self.send_numbered(hub, 20, 10)
        self.assertIn("30 messages", hub.umbra("status").stdout)
        waiting = hub.queue()
        self.assertEqual({message["state"] for message in waiting}, {"held"})
        refused = hub.umbra("queue", "release", waiting[0]["id"], check=False)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("it waits for content filter spam", refused.stdout + refused.stderr)
        time.sleep(2)
        self.assertEqual(capture.messages, [], "nothing goes past its filter")
        rogue.start()
        self.assert_all_filtered_in_order(capture, 30)
        hub.wait_empty(20)
        self.assertEqual(hub.metric("umbra_content_filter_waiting_messages"), 0)
        self.assertEqual(rogue.messages(), 30)
        with session(hub.address) as talk:
            self.assertIn("queued as", talk.send_mail(data="Subject: 30\r\n\r\nbody\r\n")[1])
        self.assert_all_filtered_in_order(capture, 31)
        self.assertEqual(len(hub.events("released")), 30)

    def test_a_hub_that_takes_waiting_mail_over_puts_it_before_its_filter(self):
        capture = self.capture()
        rogue = self.filter({"E": add_header("X-Filtered", "yes") + CONTINUE}, start=False)
        hubs = self.cluster(2, routes=self.one_connection(capture), lease="2s", filters=[{"name": "spam", "address": rogue.address, **self.WAIT}])
        first, second = hubs.hubs
        self.send_numbered(first, 0, 15)
        # One that is longer than what goes with the offer of a copy.
        with session(first.address) as talk:
            self.assertEqual(talk.send_mail(data="Subject: 15\r\n\r\n" + "long\r\n" * 100_000)[0], 250)
        self.assertEqual(second.counts()["shadows"], 16)
        first.kill()
        first.throw_disk_away()
        wait_until(lambda: second.metric("umbra_content_filter_waiting_messages") == 16, 30, "the take-over")
        time.sleep(2)
        self.assertEqual(capture.messages, [], "nothing goes past its filter")
        self.assertEqual(second.counts()["held"], 16)
        rogue.start()
        self.assert_all_filtered_in_order(capture, 16)
        first.start(wait=False)
        second.wait_empty(30)
        first.wait_empty(30)
        self.assertEqual(len(capture.messages), 16)

    def test_the_owner_dies_while_it_releases_and_nothing_is_lost(self):
        capture = self.capture()
        rogue = self.filter({"E": lambda data: time.sleep(0.05) or add_header("X-Filtered", "yes") + CONTINUE}, start=False)
        hubs = self.cluster(2, routes=self.one_connection(capture), lease="2s", filters=[{"name": "spam", "address": rogue.address, **self.WAIT}])
        first, second = hubs.hubs
        self.send_numbered(first, 0, 40)
        rogue.start()
        wait_until(lambda: len(capture.messages) >= 5, 20, "some are released")
        first.kill()
        wait_until(lambda: set(self.numbers(capture.messages)) == set(range(40)), 60, lambda: f"all delivered: {sorted(set(range(40)) - set(self.numbers(capture.messages)))} are not")
        self.assertTrue(all(b"X-Filtered: yes" in message.octets for message in capture.messages))
        first.start()
        first.wait_empty(60)
        second.wait_empty(60)

    def test_kills_while_mail_is_released_leave_either_the_waiting_message_or_the_new_one(self):
        capture = self.capture()
        capture.data_reply = lambda message: "451 4.0.0 later"
        rogue = self.filter({"E": lambda data: time.sleep(0.02) or add_header("X-Filtered", "yes") + CONTINUE}, start=False)
        hub = self.hub(routes=self.one_connection(capture), filters=[{"name": "spam", "address": rogue.address, **self.WAIT}])
        self.send_numbered(hub, 0, 60)
        rogue.start()
        for _ in range(3):
            time.sleep(0.7)
            hub.kill()
            hub.start()
            self.assertEqual(hub.counts()["messages"], 60, "no more and no fewer, whatever was under way")
        wait_until(lambda: hub.metric("umbra_content_filter_waiting_messages") == 0 and hub.counts()["held"] == 0, 30, "all released")
        capture.data_reply = lambda message: None
        for message in hub.queue():
            hub.umbra("queue", "retry", message["id"], check=False)
        messages = capture.wait_for(60, seconds=60)
        hub.wait_empty(60)
        self.assertEqual(sorted(self.numbers(messages)), list(range(60)), "each once")
        self.assertTrue(all(message.octets.count(b"X-Filtered: yes") == 1 for message in messages))

    def test_a_hub_that_leaves_hands_waiting_mail_over_as_what_it_is(self):
        capture = self.capture()
        rogue = self.filter({"E": add_header("X-Filtered", "yes") + CONTINUE}, start=False)
        hubs = self.cluster(3, routes=self.one_connection(capture), lease="2s", filters=[{"name": "spam", "address": rogue.address, **self.WAIT}])
        leaver, *others = hubs.hubs
        self.send_numbered(leaver, 0, 12)
        left = leaver.umbra("leave", "--unready-wait", "0s", check=False)
        self.assertEqual(left.returncode, 0, left.stdout + left.stderr)
        leaver.stop()
        leaver.throw_disk_away()
        wait_until(lambda: sum(hub.metric("umbra_content_filter_waiting_messages") for hub in others) == 12, 30, "they wait on the other hubs")
        time.sleep(1)
        self.assertEqual(capture.messages, [], "nothing goes past its filter")
        rogue.start()
        messages = capture.wait_for(12, seconds=60)
        self.assertEqual(sorted(self.numbers(messages)), list(range(12)))
        self.assertTrue(all(b"X-Filtered: yes" in message.octets for message in messages))
        for hub in others:
            hub.wait_empty(30)
        self.assertEqual(len(capture.messages), 12)

    def test_what_waits_has_limits_and_does_not_age(self):
        capture = self.capture()
        rogue = self.filter(start=False)
        hub = self.hub(routes=self.one_connection(capture), delivery={"expiry": "1min", "delay_warning": "0s"},
                       filters=[{"name": "spam", "address": rogue.address, **self.WAIT, "waiting_size": "4kB", "while_waiting": "unready"}])
        with session(hub.address) as talk:
            count = 0
            while (reply := talk.send_mail(data=f"Subject: {count}\r\n\r\n{'x' * 500}\r\n"))[0] == 250:
                count += 1
            self.assertEqual(reply, (452, "4.3.1 Too much mail waits for a content filter; try again later"))
            self.assertGreater(count, 3)
        self.assertEqual(hub.http("/healthz/ready"), (503, "mail waits for content filter spam\n"))
        # Longer than the expiry of mail: what waits does not age, and nothing of it bounces.
        time.sleep(80)
        self.assertEqual(hub.counts()["held"], count)
        rogue.start()
        messages = capture.wait_for(count, seconds=30)
        self.assertEqual(self.numbers(messages), list(range(count)))
        hub.wait_ready()
        hub.wait_empty(10)
        self.assertEqual(len(capture.messages), count)

    def test_what_the_filter_refuses_after_all_comes_back_to_its_sender(self):
        capture = self.capture()
        rogue = self.filter({"E": REJECT}, start=False)
        hub = self.hub(routes=self.one_connection(capture), filters=[{"name": "spam", "address": rogue.address, **self.WAIT}])
        self.send_numbered(hub, 0, 1)
        rogue.start()
        notification = capture.wait_for(1, seconds=20)[0]
        self.assertEqual((notification.sender, notification.addresses), ("", ["a@source.example"]))
        self.assertIn(b"refused by a content filter", notification.octets)
        hub.wait_empty(10)

    def test_hold_and_quarantine_wait_for_an_operator_on_every_hub(self):
        capture = self.capture()
        down, careful = self.filter(start=False), self.filter({"E": packet("q", b"looks odd\0") + CONTINUE})
        hubs = self.cluster(2, capture.address, lease="2s", filters=[
            {"name": "down", "address": down.address, **SHORT, "when_down": "hold", "networks": ["127.0.0.1"]},
            {"name": "careful", "address": careful.address, "networks": ["127.0.0.2"]}])
        first, second = hubs.hubs
        for source in ("127.0.0.1", "127.0.0.2"):
            with session(first.address, client=source) as talk:
                code, text = talk.send_mail(data=f"Subject: {source}\r\n\r\nbody\r\n")
                self.assertEqual(code, 250, text)
                self.assertIn("held as", text)
        wait_until(lambda: len(first.events("held")) == 2, 10, "both in the log")
        self.assertEqual(sorted(event["reason"].partition(":")[0] for event in first.events("held")), ["content filter down is down", "quarantined by content filter careful"])
        first.kill()
        wait_until(lambda: second.counts()["held"] == 2, 30, "taken over as held")
        time.sleep(1)
        self.assertEqual(capture.messages, [])
        for message in second.queue():
            second.umbra("queue", "release", message["id"])
        self.assertEqual(len(capture.wait_for(2, seconds=20)), 2)
