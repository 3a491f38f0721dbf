"""The configuration is changed while mail flows: `umbra reload`, SIGHUP and the admin socket take what is good at once and refuse the rest
with its line; nothing is dropped, nothing is lost, and what needs a restart is named until there was one."""
import contextlib
import json
import os
import pathlib
import signal
import socket
import time

from lab import load, places
from lab.case import LabCase
from lab.hub import route_to
from lab.process import wait_until
from lab.talk import Closed, Talk, session


class Reload(LabCase):
    def settings(self, hub, **changes):
        hub._settings = {**hub._settings, **changes}
        hub.write_config()

    def edit(self, hub, change):
        """`change` alters the configuration as it stands in the file."""
        config = json.loads(hub.config.read_text())
        change(config)
        hub.config.write_text(json.dumps(config, indent=2) + "\n")

    def reload(self, hub):
        """The answer's part about the configuration, in JSON."""
        done = hub.umbra("reload", "--output", "json", check=False)
        answer = json.loads(done.stdout)["configuration"]
        self.assertEqual(done.returncode == 0, answer["result"] != "refused", done.stderr)
        return answer

    def changes(self, hub):
        return [one["change"] for one in self.reload(hub)["changed"]]

    def lines(self, hub, text):
        return [line for line in hub.log.read_text().splitlines() if text in line]

    # ---- under load

    def test_limits_routes_and_retry_change_under_load_and_no_session_is_dropped(self):
        first, second = self.sink(), self.sink(name="second")
        hub = self.hub(first.address, delivery={"retry": [{"wait": "1s"}]})
        with session(hub.address) as early:
            source = load.Source(self.folder, hub.address, "--sessions", 6, "--messages", 3000)
            self.addCleanup(source.stop)
            wait_until(lambda: source.acknowledged() > 100, 20, "mail on its way")
            for turn in range(12):
                to = (first, second)[turn % 2].address
                self.settings(hub, limits={"recipients": 100 + turn, "hops": 20 + turn}, routes=[route_to(to, connections=1 + turn % 5)],
                              level=("info", "debug")[turn % 2])
                if turn % 3 == 2:
                    hub.process.signal(signal.SIGHUP)
                    wait_until(lambda turn=turn: self.lines(hub, f"listeners[default].limits.recipients: {99 + turn} -> {100 + turn}"
                                                            if turn else "configuration changed"), 10, "the change in the log")
                else:
                    self.assertEqual(self.reload(hub)["result"], "changed")
                time.sleep(0.1)
            code, result = source.finish(120)
            self.assertEqual((code, result["acknowledged"]), (0, 3000), result)
            # A session ends with what it began with: 1000 recipients then, 111 now.
            self.assertEqual(early.say("MAIL FROM:<a@source.example>")[0], 250)
            for number in range(150):
                self.assertEqual(early.say(f"RCPT TO:<r{number}@sink.example>")[0], 250)
            early.say("RSET")
        with session(hub.address) as late:
            late.say("MAIL FROM:<a@source.example>")
            codes = [late.say(f"RCPT TO:<r{number}@sink.example>")[0] for number in range(113)]
            self.assertEqual(codes, [250] * 111 + [452] * 2)
        hub.wait_empty(30)
        first.stop(), second.stop()
        self.assertGreater(first.counts()["messages"], 0)
        self.assertGreater(second.counts()["messages"], 0)
        self.assert_nothing_lost(load.ledger([self.folder / "source.ledger"], [first.ledger, second.ledger]), duplicates=0)
        self.assertEqual(hub.metric("umbra_possible_duplicates_total"), 0)

    def test_a_cluster_is_reloaded_again_and_again_under_load(self):
        sinks = [self.sink(), self.sink(name="second")]
        cluster = self.cluster(3, sinks[0].address, delivery={"retry": [{"wait": "1s"}]})
        source = load.Source(self.folder, cluster.addresses, "--sessions", 6, "--messages", 2000)
        self.addCleanup(source.stop)
        wait_until(lambda: source.acknowledged() > 50, 20, "mail on its way")
        turn = 0
        while source.process.alive() and turn < 60:
            for hub in cluster.hubs:
                self.settings(hub, limits={"message_size": f"{turn + 1}MB"}, routes=[route_to(sinks[turn % 2].address, connections=1 + turn % 4)],
                              cluster={**hub._settings["cluster"], "copy_timeout": f"{4 + turn % 2}s", "reprotect_rate": 100 + turn})
                self.assertEqual(self.reload(hub)["result"], "changed")
            turn += 1
        code, result = source.finish(120)
        self.assertEqual((code, result["acknowledged"]), (0, 2000), result)
        self.assertGreater(turn, 2)
        cluster.wait_empty(40)
        for sink in sinks:
            sink.stop()
        self.assert_nothing_lost(load.ledger([self.folder / "source.ledger"], [sink.ledger for sink in sinks]), duplicates=0)
        self.assertEqual(sum(hub.metric("umbra_takeovers_total") for hub in cluster.hubs), 0)

    def test_rights_policies_time_outs_and_the_name_of_the_host_are_live(self):
        sink = self.sink()
        hub = self.hub(sink.address)
        self.edit(hub, lambda c: (c["hub"].update(host_name="new.example"),
                                  c["listeners"][0].update(networks=["192.0.2.0/24"], limits={"command_timeout": "1s", "connections": 2})))
        self.assertEqual(self.changes(hub), ["hub.host_name: hub-1.example -> new.example",
                                             "listeners[default].limits.command_timeout: 5min -> 1s",
                                             "listeners[default].limits.connections: 20000 -> 2",
                                             "listeners[default].networks: 127.0.0.0/8 -> 192.0.2.0/24"])
        with Talk(hub.address) as one, Talk(hub.address), Talk(hub.address) as third:
            self.assertEqual(one.greeting, (220, "new.example ESMTP Umbra"))
            self.assertEqual(third.greeting[0], 421)
            one.say("EHLO test.example"), one.say("MAIL FROM:<a@source.example>")
            self.assertEqual(one.say("RCPT TO:<b@sink.example>")[0], 550)
            self.assertEqual([code for code, _ in one.until_closed()], [421])
        self.assertEqual(self.reload(hub)["result"], "unchanged")
        self.assertIn("nothing changed", hub.umbra("reload").stdout)
        self.assertEqual(hub.status()["host_name"], "new.example")

    def test_a_listener_is_added_moved_and_taken_away(self):
        sink = self.sink()
        hub = self.hub(sink.address)
        second, third = places.free_port(), places.free_port()
        self.edit(hub, lambda c: c["listeners"].append({**c["listeners"][0], "name": "more", "address": f"127.0.0.1:{second}"}))
        self.assertEqual(self.changes(hub), ["listeners[more]: added"])
        with session(f"127.0.0.1:{second}") as kept, session(f"127.0.0.1:{second}") as busy:
            self.assertEqual(kept.send_mail()[0], 250)
            for line in ("MAIL FROM:<a@source.example>", "RCPT TO:<b@sink.example>", "DATA"):
                busy.say(line)
            # To another port, which somebody else has: refused as a whole, and all is as it was.
            with socket.create_server(("127.0.0.1", third)):
                self.edit(hub, lambda c: (c["listeners"][1].update(address=f"127.0.0.1:{third}"), c["listeners"][0].update(limits={"recipients": 7})))
                refused = self.reload(hub)
                self.assertEqual(refused["result"], "refused")
                self.assertIn(f"listen on 127.0.0.1:{third}: Address already in use", refused["problems"][0]["problem"])
                self.assertEqual(kept.send_mail()[0], 250)
            self.assertEqual(self.changes(hub), ["listeners[default].limits.recipients: 1000 -> 7",
                                                 f"listeners[more].address: 127.0.0.1:{second} -> 127.0.0.1:{third}"])
            with session(f"127.0.0.1:{third}") as moved:
                self.assertEqual(moved.send_mail()[0], 250)
            with self.assertRaises(OSError):
                socket.create_connection(("127.0.0.1", second), timeout=2)
            # Who was there: idle ones are told, a message that is coming is taken.
            self.assertEqual(kept.until_closed(), [(421, "4.3.2 this listener is closing, try another")])
            busy.send("Subject: x\r\n\r\nx\r\n")
            self.assertEqual(busy.say(".")[0], 250)
            self.assertEqual([code for code, _ in busy.until_closed()], [421])
        # A new name at the same address: the same socket.
        self.edit(hub, lambda c: (c["listeners"][1].update(name="renamed")))
        self.assertEqual(self.changes(hub), ["listeners[more]: removed", "listeners[renamed]: added"])
        with session(f"127.0.0.1:{third}") as still:
            self.edit(hub, lambda c: c["listeners"].pop())
            self.assertEqual(self.changes(hub), ["listeners[renamed]: removed"])
            self.assertEqual([code for code, _ in still.until_closed()], [421])
        with session(hub.address) as talk:
            self.assertEqual(talk.send_mail()[0], 250)
        hub.wait_empty(20)
        self.assertEqual(hub.stop(), 0)

    def test_mail_that_waits_for_a_dead_next_hop_goes_to_the_new_one(self):
        sink = self.sink()
        hub = self.hub(f"127.0.0.1:{places.free_port()}", delivery={"retry": [{"wait": "1h"}]})
        with session(hub.address) as talk:
            for _ in range(20):
                self.assertEqual(talk.send_mail()[0], 250)
            wait_until(lambda: any(one["attempts"] for one in hub.queue()), 10, "a first attempt")
            self.settings(hub, routes=[route_to(sink.address)], delivery={"retry": [{"wait": "1s"}]})
            self.assertEqual(self.reload(hub)["result"], "changed")
            sink.wait_for(19, 10)
            self.assertEqual(talk.send_mail()[0], 250)
        for one in hub.queue():  # the one that was tried waits for its hour
            hub.umbra("queue", "retry", one["id"], check=False)  # or is on its way
        hub.wait_empty(20)
        sink.wait_for(21, 10)

    def test_the_safety_net_is_switched_on_made_smaller_and_off(self):
        sink = self.sink()
        hub = self.hub(sink.address)
        def send(count):
            with session(hub.address) as talk:
                for _ in range(count):
                    self.assertEqual(talk.send_mail(data="Subject: x\r\n\r\n" + "x" * 998 + "\r\n")[0], 250)
        send(3)
        wait_until(lambda: sink.counts()["messages"] == 3, 10, "delivery")
        self.assertEqual(hub.metric("umbra_safety_net_messages"), 0)
        self.settings(hub, safety_net={"keep": "1h", "size": "1MB"})
        self.assertEqual(self.changes(hub), ["safety_net.keep: 0 -> 1h", "safety_net.size: 0 -> 1000000"])
        send(20)
        wait_until(lambda: hub.metric("umbra_safety_net_messages") == 20, 10, "twenty are kept")
        self.settings(hub, safety_net={"keep": "1h", "size": "10KB"})
        self.reload(hub)
        wait_until(lambda: hub.metric("umbra_safety_net_bytes") <= 10_000, 30, "within the smaller limit")
        self.assertGreater(hub.metric("umbra_safety_net_messages"), 0)
        self.settings(hub, safety_net=None)
        self.reload(hub)
        wait_until(lambda: hub.metric("umbra_safety_net_messages") == 0, 30, "nothing is kept")
        self.settings(hub, safety_net={"keep": "1h", "size": "1MB"})
        self.reload(hub)
        send(2)
        wait_until(lambda: hub.metric("umbra_safety_net_messages") == 2, 10, "kept again")

    # ---- refused

    def test_a_broken_file_keeps_the_old_one_and_says_why(self):
        sink = self.sink()
        hub = self.hub(sink.address, limits={"recipients": 9})
        good = hub.config.read_text()
        read_at = hub.metric("umbra_configuration_last_reload_success_timestamp_seconds")
        self.assertGreater(read_at, 1_700_000_000)
        self.assertEqual(hub.metric("umbra_configuration_last_reload_successful"), 1)
        cases = [(good.replace('"recipients": 9', '"recipients": "many"'), "expected a whole number"),
                 (good.replace('"limits"', '"limitz"'), 'unknown key "limitz"'),
                 (good.replace('"reserve": "50MB"', '"reserve": ["50MB"]'), "expected one value, not a list"),
                 ("", "the file says nothing"), ("[1, 2]", "must be a group of keys"), ("just words", "must be a group of keys"),
                 ('{"hub": ', "not YAML"), ("[" * 100_000, ""), ("\0\1\2", ""), (good + "#" + "x" * (10 << 20), "is larger than 1048576 octets"),
                 (good.replace('"shadow": "none"', '"shadow": "require"'), "there is no other hub to hold a copy")]
        for text, why in cases:
            with self.subTest(why=why):
                hub.config.write_text(text)
                done = hub.umbra("reload", check=False)
                self.assertEqual(done.returncode, 1, done.stdout)
                self.assertIn("refused, the former one stays in force", done.stdout)
                self.assertIn(str(hub.config), done.stderr)
                self.assertIn(why, done.stderr + done.stdout)
                self.assertEqual(hub.metric("umbra_configuration_last_reload_successful"), 0)
                self.assertIn(str(hub.config), hub.umbra("status").stdout)
        # The line is the one of `umbra check`.
        hub.config.write_text(cases[0][0])
        line = next(number for number, text in enumerate(cases[0][0].splitlines(), 1) if '"many"' in text)
        self.assertIn(f"{hub.config}:{line}: ", hub.umbra("reload", check=False).stderr)
        self.assertEqual(hub.status()["configuration"]["last_reload"]["problems"][0]["line"], line)
        hub.config.unlink()
        self.assertIn("cannot be opened: No such file", hub.umbra("reload", check=False).stderr)
        hub.config.mkdir()
        self.assertIn("is a directory", hub.umbra("reload", check=False).stderr)
        hub.config.rmdir()
        os.mkfifo(hub.config)
        began = time.monotonic()
        self.assertEqual(hub.umbra("reload", check=False).returncode, 1)
        self.assertLess(time.monotonic() - began, 5, "a pipe that nobody writes to is not waited for")
        hub.config.unlink()
        hub.config.symlink_to("/dev/zero")
        self.assertIn("is larger than", hub.umbra("reload", check=False).stderr)
        hub.config.unlink()
        self.assertTrue(self.lines(hub, "configuration refused, the former one stays in force"))
        # All the time the old one was in force, also for SIGHUP.
        hub.process.signal(signal.SIGHUP)
        with session(hub.address) as talk:
            talk.say("MAIL FROM:<a@source.example>")
            self.assertEqual([talk.say(f"RCPT TO:<r{number}@sink.example>")[0] for number in range(10)], [250] * 9 + [452])
        self.assertEqual(hub.metric("umbra_configuration_last_reload_success_timestamp_seconds"), read_at)
        hub.config.write_text(good)
        self.assertEqual(self.reload(hub)["result"], "unchanged")
        self.assertEqual(hub.metric("umbra_configuration_last_reload_successful"), 1)
        self.assertGreater(hub.metric("umbra_configuration_last_reload_success_timestamp_seconds"), read_at - 1)
        self.assertEqual(hub.status()["configuration"]["last_reload"], {**hub.status()["configuration"]["last_reload"], "result": "good", "problems": []})

    def test_a_file_that_may_not_be_read_is_refused(self):
        self.need_root("a hub of another user")
        sink = self.sink()
        hub = self.hub(sink.address, start=False)
        for folder in (self.folder, *self.folder.parents):  # the user must get there
            if not folder.stat().st_mode & 0o001:
                self.skipTest(f"{folder} is closed to other users")
        if not pathlib.Path("/usr/bin/setpriv").exists():
            self.skipTest("needs setpriv")
        hub.spool.mkdir(parents=True)
        for path in (hub.folder, hub.spool):
            os.chown(path, 65534, 65534)
        hub.start(wait=False, wrapper=("setpriv", "--reuid=65534", "--clear-groups"))
        hub.wait_ready()
        hub.config.chmod(0o600)
        os.chown(hub.config, 0, 0)
        done = hub.umbra("reload", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("cannot be opened: Permission denied", done.stderr)

    # ---- restart, drift

    def test_what_needs_a_restart_is_named_until_there_was_one(self):
        sink = self.sink()
        cluster = self.cluster(2, sink.address)
        hub = cluster.hubs[0]
        secret = pathlib.Path(hub._settings["secret"])
        self.settings(hub, lease="3s", limits={"recipients": 55}, delivery={"crashes": 9})
        said = hub.umbra("reload").stdout
        self.assertIn("listeners[default].limits.recipients: 1000 -> 55", said)
        self.assertIn("these keys changed and need a restart:\n  cluster.lease: 2s is in force, 3s in the file\n"
                      "  delivery.crashes: 3 is in force, 9 in the file\n", said)
        for _ in range(2):  # a second reload goes on naming them, and changes nothing
            answer = self.reload(hub)
            self.assertEqual(answer["result"], "unchanged")
            self.assertEqual([one["key"] for one in answer["needs_restart"]], ["cluster.lease", "delivery.crashes"])
        self.assertEqual(hub.metric("umbra_configuration_keys_waiting_for_restart"), 2)
        self.assertIn("cluster.lease: 2s is in force, 3s in the file", hub.umbra("status").stdout)
        # A secret is never shown, nor what it was.
        words = secret.read_text()
        secret.write_text("another secret, not for eyes, 98765\n")
        said = hub.umbra("reload").stdout + hub.umbra("reload", "--output", "json").stdout + hub.umbra("status").stdout + hub.log.read_text()
        self.assertIn("cluster.secret_file", said)
        self.assertNotIn("not for eyes", said)
        self.assertNotIn(words.strip(), said)
        secret.write_text(words)
        # Taken back in the file: nothing waits any more.
        self.settings(hub, delivery={})
        self.assertEqual([one["key"] for one in self.reload(hub)["needs_restart"]], ["cluster.lease"])
        hub.stop()
        hub.start()
        cluster.wait_joined()
        self.assertEqual(hub.status()["configuration"]["needs_restart"], [])
        self.assertEqual(hub.metric("umbra_configuration_keys_waiting_for_restart"), 0)
        self.assertNotIn("need a restart", hub.umbra("status").stdout)
        with session(hub.address) as talk:
            wait_until(lambda: talk.send_mail()[0] == 250, 20, "mail taken under require", pause=0.3)
        cluster.wait_empty(20)

    def test_mail_is_not_accepted_under_require_with_a_cluster_that_is_not_there_yet(self):
        sink = self.sink()
        hub = self.hub(sink.address)
        secret = self.folder / "secret"
        secret.write_text("a secret for this folder only, 0123456789\n")
        secret.chmod(0o600)
        port = places.free_port()
        self.edit(hub, lambda c: (c["listeners"][0].update(shadow="require"), c.update(cluster={
            "address": f"127.0.0.1:{port}", "secret_file": str(secret),
            "members": [{"name": hub.name, "address": f"127.0.0.1:{port}"}, {"name": "hub-2", "address": "127.0.0.1:9"}]})))
        answer = self.reload(hub)
        self.assertEqual(answer["result"], "refused")
        self.assertIn("Start the hub again", answer["problems"][0]["problem"])
        with session(hub.address) as talk:
            self.assertEqual(talk.send_mail()[0], 250)

    def test_drift_comes_and_goes_with_reloads(self):
        sink = self.sink()
        cluster = self.cluster(3, sink.address)
        one, two, odd = cluster.hubs
        def drift(hub, other):
            peer = next(peer for peer in json.loads(hub.umbra("peers", "--output", "json").stdout)["peers"] if peer["hub"] == other.name)
            return None if peer["configuration"] == "unknown" else [difference["key"] for difference in peer["differences"]]
        wait_until(lambda: all(drift(a, b) == [] for a in cluster.hubs for b in cluster.hubs if a is not b), 20, "no differences")
        epochs = [hub.status()["epoch"] for hub in cluster.hubs]
        self.settings(odd, limits={"message_size": "1MB"})
        self.reload(odd)
        wait_until(lambda: drift(one, odd) == drift(two, odd) == ["message_size"] == drift(odd, one) == drift(odd, two), 10, "the difference, on every hub")
        self.assertEqual(drift(one, two), [])
        # Not a change back, but the others follow: one after the other.
        self.settings(one, limits={"message_size": "1MB"})
        self.reload(one)
        wait_until(lambda: drift(one, odd) == [] and drift(one, two) == ["message_size"] and drift(two, one) == ["message_size"], 10, "the first has followed")
        self.settings(two, limits={"message_size": "1MB"})
        self.reload(two)
        wait_until(lambda: all(drift(a, b) == [] for a in cluster.hubs for b in cluster.hubs if a is not b), 10, "no differences")
        self.assertEqual([hub.status()["epoch"] for hub in cluster.hubs], epochs, "without a restart")
        self.assertEqual(one.metric("umbra_configuration_drift"), 0)
        # What needs a restart is in force nowhere yet, so it is no drift either.
        self.settings(odd, lease="4s")
        self.reload(odd)
        time.sleep(1)
        self.assertEqual(drift(one, odd), [])

    def test_protection_changes_for_the_next_sessions(self):
        sink = self.sink()
        cluster = self.cluster(2, sink.address)
        one, two = cluster.hubs
        two.kill()
        with session(one.address) as before:
            self.assertEqual(before.send_mail()[0], 451)
            self.settings(one, shadow="prefer", listener={"on_failure": "accept"})
            self.assertEqual(self.changes(one), ["listeners[default].on_failure: delay -> accept", "listeners[default].shadow: require -> prefer"])
            self.assertEqual(before.send_mail()[0], 451, "this session began under require")
        with session(one.address) as after:
            self.assertEqual(after.send_mail()[0], 250)
        two.start()
        cluster.wait_empty(40)

    def test_reloads_while_another_one_is_read_and_while_the_hub_stops(self):
        sink = self.sink()
        hub = self.hub(sink.address)
        for _ in range(30):
            hub.process.signal(signal.SIGHUP)
        self.assertEqual(self.reload(hub)["result"], "unchanged")
        with contextlib.suppress(Closed):
            for _ in range(5):
                hub.process.signal(signal.SIGHUP)
        self.assertEqual(hub.stop(), 0)
