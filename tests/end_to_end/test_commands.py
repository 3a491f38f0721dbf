"""The command line `umbra`, against real hubs: what each command finds, does, prints and ends with."""
import contextlib
import json
import os
import pathlib
import pty
import re
import select
import shutil
import sqlite3
import subprocess
import time
import unittest

from lab import places
from lab.case import LabCase
from lab.certificates import Authority
from lab.hub import route_to
from lab.process import wait_until
from lab.talk import session


def umbra(*arguments, env=None):
    return subprocess.run([str(places.UMBRA), *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **(env or {})})


class CommandCase(LabCase):
    def send(self, hub, sender="a@source.example", recipients=("b@sink.example",), data="Subject: x\r\n\r\nbody\r\n"):
        with session(hub.address) as talk:
            code, text = talk.send_mail(sender=sender, recipients=recipients, data=data)
            self.assertEqual(code, 250, text)
        return re.search(r"queued as (\S+?),? ", text + " ").group(1)

    def deferring(self):
        away = self.capture()
        away.rcpt_reply = lambda address: "451 4.2.0 not now"
        return away

    def run_on(self, hub, *words, code=0):
        done = hub.umbra(*words, check=False)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def asked(self, hub, *words, code=0):
        return json.loads(self.run_on(hub, *words, "--output", "json", code=code).stdout)

    def found(self, hub, *words, code=0):
        return sorted(row["id"] for row in self.asked(hub, "queue", "search", *words, code=code)["messages"])


WAITING = {"delivery": {"retry": [{"wait": "1h"}]}}


class QueueSearch(CommandCase):
    def test_it_finds_mail_of_all_hubs_by_each_condition(self):
        away = self.deferring()
        hubs = self.cluster(3, routes=[route_to(away.address, name="away", domains=["*.example"]), route_to(away.address, name="other", domains=["*"])], shadow="require", **WAITING)
        first, second, third = hubs.hubs
        one = self.send(first, sender="one@source.example")
        two = self.send(second, sender="two@else.test", recipients=["x@sink.example", "y@other.test"])
        wait_until(lambda: all(row["attempts"] > 0 for hub in (first, second) for row in hub.queue()), 20, lambda: "attempts")
        wait_until(lambda: all(self.asked(third, "queue", "search", "--next-hop", hop)["messages"] for hop in ("away", "other")), 20, lambda: "both")
        self.assertEqual(self.found(third), sorted([one, two]))
        self.assertEqual(self.found(third, "--sender", "ONE@source.example"), [one])
        self.assertEqual(self.found(third, "--sender", "@else.test"), [two])
        self.assertEqual(self.found(third, "--recipient", "@sink.example"), sorted([one, two]))
        self.assertEqual(self.found(third, "--recipient", "y@other.test"), [two])
        self.assertEqual(self.found(third, "--next-hop", "other"), [two])
        self.assertEqual(self.found(third, "--next-hop", "route:away"), sorted([one, two]))
        self.assertEqual(self.found(third, "--error", "NOT now"), sorted([one, two]))
        self.assertEqual(self.found(third, "--newer-than", "10min", "--sender", "@source.example"), [one])
        self.assertEqual(self.found(third, "--older-than", "10min", code=4), [])
        self.assertEqual(self.found(third, "--state", "held", code=4), [])
        self.assertEqual(self.found(third, "--here", code=4), [])
        row = next(row for row in self.asked(third, "queue", "search")["messages"] if row["id"] == two)
        self.assertEqual((row["hub"], row["recipients_pending"], sorted(row["next_hops"])), ("hub-2", 2, ["route:away", "route:other"]))
        text = self.run_on(third, "queue", "search").stdout
        self.assertIn("hub-1", text)
        self.assertIn(two, text)

    def test_a_dead_hub_is_named_and_the_others_are_searched(self):
        away = self.deferring()
        hubs = self.cluster(3, away.address, shadow="require", lease="30s", **WAITING)
        first, second, third = hubs.hubs
        name = self.send(second)
        first.kill()
        answer = self.asked(third, "queue", "search", "--sender", "@source.example", code=1)
        self.assertEqual([row["id"] for row in answer["messages"]], [name])
        self.assertEqual({hub["hub"]: hub["answered"] for hub in answer["hubs"]}, {"hub-1": False, "hub-2": True, "hub-3": True})
        text = self.run_on(third, "queue", "search", code=1).stdout
        self.assertIn("hub-1 did not answer: ", text)

    def test_it_goes_on_behind_the_key_without_repeating_or_leaving_out(self):
        away = self.deferring()
        hubs = self.cluster(2, away.address, shadow="none", **WAITING)
        sent = [self.send(hubs.hubs[i % 2]) for i in range(12)]
        seen, after = [], []
        for _ in range(10):
            answer = self.asked(hubs.hubs[0], "queue", "search", "--limit", "4", *after)
            seen += [row["id"] for row in answer["messages"]]
            if answer["next"] is None:
                break
            after = ["--after", answer["next"]]
        self.assertEqual(sorted(seen), sorted(sent))


class QueueActions(CommandCase):
    def test_deleted_mail_is_gone_everywhere_counted_and_traced(self):
        away = self.deferring()
        hubs = self.cluster(3, away.address, shadow="require", lease="2s", **WAITING)
        first, second, third = hubs.hubs
        gone, stays = self.send(first), self.send(first)
        # What is being sent this moment is not deleted.
        wait_until(lambda: all(row["attempts"] for row in first.queue()), 20, lambda: "attempts")
        self.assertIn("delete done", self.run_on(first, "queue", "delete", gone).stdout)
        self.run_on(first, "queue", "show", gone, code=4)
        self.run_on(first, "queue", "delete", gone, code=4)
        self.assertEqual((first.metric("umbra_messages_deleted_total"), first.metric("umbra_recipients_deleted_total")), (1, 1))
        wait_until(lambda: [event["id"] for event in first.events("deleted")] == [gone], 10, lambda: f"the event: {first.events('deleted')}")
        wait_until(lambda: second.counts()["shadows"] + third.counts()["shadows"] == 1, 10, lambda: "the holder has heard")
        wait_until(lambda: "=> deleted by the operator at hub-1" in third.umbra("trace", gone, check=False).stdout, 10, lambda: third.umbra("trace", gone, check=False).stdout)
        # The hub is lost: what it deleted does not come back, what it had does.
        first.kill()
        wait_until(lambda: any(row["id"] == stays for hub in (second, third) for row in hub.queue()), 20, lambda: "the other is taken over")
        self.assertEqual(sorted(row["id"] for hub in (second, third) for row in hub.queue()), [stays])
        away.rcpt_reply = lambda address: None
        # An attempt that was under way still ends with the old reply.
        def is_sent():
            for hub in (second, third):
                hub.umbra("queue", "retry", stays, check=False)
            return away.messages
        wait_until(is_sent, 15, lambda: "the other is delivered")
        time.sleep(1)
        self.assertEqual(len(away.messages), 1)

    def test_a_deletion_survives_a_kill(self):
        away = self.deferring()
        hub = self.hub(away.address, **WAITING)
        name = self.send(hub)
        wait_until(lambda: hub.queue()[0]["attempts"], 20, "an attempt: what is being sent is not deleted")
        self.run_on(hub, "queue", "delete", name)
        hub.kill()
        hub.start()
        self.assertEqual(hub.queue(), [])

    def test_all_matching_needs_yes_and_leaves_the_rest_alone(self):
        away = self.deferring()
        hub = self.hub(away.address, **WAITING)
        mine = [self.send(hub, sender="mine@source.example") for _ in range(5)]
        other = self.send(hub, sender="other@else.test")
        said = self.run_on(hub, "queue", "hold", "--all-matching", "--sender", "mine@source.example", code=2)
        self.assertIn("5 messages", said.stderr)
        self.assertEqual({row["state"] for row in hub.queue()}, {"queued"})
        self.run_on(hub, "queue", "hold", "--all-matching", "--yes", code=2)
        self.run_on(hub, "queue", "hold", code=2)
        self.run_on(hub, "queue", "hold", mine[0], "--sender", "x@y.example", code=2)
        wait_until(lambda: all(row["attempts"] for row in hub.queue()), 20, lambda: "attempts")
        self.assertEqual(self.asked(hub, "queue", "hold", "--all-matching", "--sender", "mine@source.example", "--yes")["done"], 5)
        self.assertEqual(self.found(hub, "--state", "held"), sorted(mine))
        self.run_on(hub, "queue", "release", "--all-matching", "--state", "held", "--recipient", "@sink.example", "--yes")
        self.run_on(hub, "queue", "retry", "--all-matching", "--sender", "mine@source.example", "--yes")
        # What is being sent this moment is refused; it is asked for again then.
        wait_until(lambda: hub.umbra("queue", "delete", "--all-matching", "--sender", "mine@source.example", "--yes", check=False).returncode in (0, 4), 20, lambda: "deleted")
        self.assertEqual([row["id"] for row in hub.queue()], [other])
        self.run_on(hub, "queue", "delete", "--all-matching", "--sender", "mine@source.example", "--yes", code=4)


class Reroute(CommandCase):
    def refusing(self, *addresses):
        """A next hop that takes nothing for these recipients now."""
        away = self.capture()
        away.rcpt_reply = lambda address: "451 4.2.0 not now" if address in addresses else None
        return away

    def reroute(self, hub, name, to):
        # What is being sent this moment is refused.
        wait_until(lambda: hub.umbra("queue", "reroute", name, "--to", to, check=False).returncode == 0, 20, lambda: f"{name} goes to {to}")

    def test_what_is_left_goes_to_the_other_host_at_once_and_over_a_restart(self):
        away, other = self.refusing("late@sink.example"), self.capture()
        hub = self.hub(away.address, **WAITING)
        name = self.send(hub, recipients=("done@sink.example", "late@sink.example"))
        away.wait_for(1)
        nowhere = f"127.0.0.1:{places.free_port()}"
        self.reroute(hub, name, nowhere)
        hub.kill()
        hub.start()
        shown = self.asked(hub, "queue", "show", name)
        self.assertEqual(shown["next_hop"], "host:" + nowhere)
        self.assertEqual([entry["destination"] for entry in shown["queue"]], ["host:" + nowhere])
        self.assertEqual(self.found(hub, "--next-hop", nowhere), [name])
        self.assertEqual(other.messages, [])
        self.reroute(hub, name, other.address)
        # An hour is between two attempts otherwise.
        self.assertEqual(other.wait_for(1)[0].addresses, ["late@sink.example"])
        wait_until(lambda: hub.queue() == [], 10, "it is done")
        self.assertEqual([message.addresses for message in away.messages], [["done@sink.example"]], "what was delivered is not sent again")
        self.assertEqual([event["destination"] for event in hub.events("rerouted")], ["host:" + other.address], "of this run")
        wait_until(lambda: "sent another way by the operator" in hub.umbra("trace", name, check=False).stdout, 10, "its story")

    def test_back_to_what_the_routes_say(self):
        away, other = self.deferring(), self.deferring()
        hub = self.hub(routes=[route_to(away.address, name="away"), route_to(other.address, name="other", domains=["other.test"])], **WAITING)
        name = self.send(hub)
        wait_until(lambda: hub.queue()[0]["attempts"], 10, "an attempt")
        self.reroute(hub, name, "route:other")
        wait_until(lambda: any("RCPT" in line for line in other.lines), 10, "it was tried there")
        away.rcpt_reply = lambda address: None
        self.reroute(hub, name, "config")
        away.wait_for(1)
        self.assertEqual(other.messages, [])
        wait_until(lambda: hub.queue() == [], 10, "it is done")

    def test_what_is_no_next_hop_is_refused(self):
        away = self.deferring()
        hub = self.hub(routes=[route_to(away.address, name="away"), route_to("192.0.2.1:25", name="secret", domains=["secret.test"], tls={"policy": "encrypt"})], **WAITING)
        name, secret = self.send(hub), self.send(hub, recipients=("a@secret.test",))
        for wrong in ("", "a b", "relay.example:0", "relay.example:65536", "::1", "[::1", "mx:", "mx:127.0.0.1", "route:"):
            self.assertIn("no next hop", self.run_on(hub, "queue", "reroute", name, "--to", wrong, code=2).stderr, wrong)
        self.run_on(hub, "queue", "reroute", name, code=2)
        wait_until(lambda: hub.queue()[0]["attempts"], 10, "an attempt")
        self.assertIn("no route", self.run_on(hub, "queue", "reroute", name, "--to", "route:nowhere", code=1).stderr)
        self.assertIn("already", self.run_on(hub, "queue", "reroute", name, "--to", "config", code=1).stderr)
        self.assertIn("asks for encryption", self.run_on(hub, "queue", "reroute", secret, "--to", away.address, code=1).stderr)
        self.run_on(hub, "queue", "reroute", "0000000000000001-1", "--to", away.address, code=4)

    def test_the_hub_that_takes_it_over_sends_it_there(self):
        away, other = self.deferring(), self.capture()
        hubs = self.cluster(2, away.address, shadow="require", lease="2s", **WAITING)
        first, second = hubs.hubs
        name = self.send(first)
        wait_until(lambda: first.queue()[0]["attempts"], 10, "an attempt")
        self.run_on(first, "queue", "hold", name)
        said = self.run_on(first, "queue", "reroute", name, "--to", other.address).stdout
        self.assertIn("it is held", said)
        self.assertNotIn("do not know", said)
        self.assertEqual(self.asked(second, "queue", "show", name)["next_hop"], "host:" + other.address)
        away.rcpt_reply = lambda address: None  # where it would go if the other hub did not know
        first.kill()
        wait_until(lambda: [row["state"] for row in second.queue()] == ["held"], 30, "taken over")
        self.run_on(second, "queue", "release", name)
        other.wait_for(1)
        wait_until(lambda: second.queue() == [], 10, "it is done")
        self.assertEqual(away.messages, [])

    def test_everything_that_waits_in_the_cluster_goes_another_way(self):
        away, other = self.deferring(), self.capture()
        hubs = self.cluster(3, away.address, shadow="require", lease="30s", **WAITING)
        first, second, third = hubs.hubs
        sent = sorted(self.send(hub) for hub in (first, second, second))
        stays = self.send(second, sender="other@else.test")
        wait_until(lambda: all(row["attempts"] for hub in (first, second) for row in hub.queue()), 20, "attempts")
        every = ("queue", "reroute", "--all-matching", "--sender", "a@source.example", "--to", other.address)
        self.assertIn("3 messages of 3 hub", self.run_on(third, *every, code=2).stderr)
        self.assertEqual(self.asked(third, *every, "--here", "--yes", code=4)["hubs"], [{"hub": "hub-3", "answered": True, "why": None, "done": 0, "refused": 0}])
        answer = self.asked(third, *every, "--yes")
        self.assertEqual({hub["hub"]: hub["done"] for hub in answer["hubs"]}, {"hub-1": 1, "hub-2": 2, "hub-3": 0})
        self.assertEqual((answer["done"], answer["refused"]), (3, 0))
        other.wait_for(3)
        wait_until(lambda: self.found(third) == [stays], 10, lambda: f"all but one are done, of {sent}")
        # A hub that cannot be asked is named, and the exit code says that it was not all.
        first.kill()
        answer = self.asked(third, "queue", "hold", "--all-matching", "--sender", "@else.test", "--yes", code=1)
        self.assertEqual({hub["hub"]: hub["answered"] for hub in answer["hubs"]}, {"hub-1": False, "hub-2": True, "hub-3": True})
        self.assertEqual(answer["done"], 1)
        self.assertEqual([row["state"] for row in second.queue()], ["held"])
        text = self.run_on(third, "queue", "release", "--all-matching", "--sender", "@else.test", "--yes", code=1).stdout
        self.assertIn("hub-1 did not answer: ", text)
        self.assertIn("hub-2: 1 done, 0 refused", text)


class Configuration(CommandCase):
    def test_diff_reload_and_the_version_on_each_hub(self):
        sink = self.capture()
        hubs = self.cluster(2, sink.address, shadow="require")
        first, second = hubs.hubs
        same = self.asked(first, "config", "diff")
        self.assertEqual((same["result"], same["version_in_force"]), ("same", same["version_in_file"]))
        config = json.loads(first.config.read_text())
        config["log"]["level"] = "debug"
        config["cluster"]["lease"] = "20s"
        first.config.write_text(json.dumps(config))
        differs = self.asked(first, "config", "diff")
        self.assertEqual(([one["key"] for one in differs["at_reload"]], [one["key"] for one in differs["at_restart"]]), (["log.level"], ["cluster.lease"]))
        self.assertEqual(differs["version_in_force"], same["version_in_force"])
        text = self.run_on(first, "config", "diff").stdout
        self.assertIn("log.level: info -> debug", text)
        reloaded = self.asked(second, "config", "versions")
        self.assertEqual({hub["hub"]: hub["answered"] for hub in reloaded["hubs"]}, {"hub-1": True, "hub-2": True})
        answer = self.asked(first, "config", "reload")
        versions = {hub["hub"]: hub["configuration"]["configuration"]["version"] for hub in answer["hubs"]}
        self.assertEqual(versions["hub-1"], differs["version_in_file"])
        self.assertNotEqual(versions["hub-1"], versions["hub-2"])
        self.assertIn(versions["hub-2"], self.run_on(first, "reload").stdout)
        self.assertIn(versions["hub-1"], umbra("config", "check", first.config).stdout)
        first.config.write_text("hub: {name: 5\n")
        self.assertIn("would be refused", self.run_on(first, "config", "diff", code=1).stdout)
        self.run_on(first, "config", "reload", code=1)
        self.assertEqual(umbra("check", first.config).returncode, 1)

    def test_tls_shows_the_certificates_in_use(self):
        authority = Authority(self.folder)
        pem = authority.issue("hub.pem", "DNS:hub-1.example,DNS:mail.example")
        hub = self.hub(self.capture().address, tls={"mode": "starttls", "certificate": str(pem)})
        place = self.asked(hub, "tls")["certificates"][0]
        certificate = place["certificates"][0]
        self.assertEqual((place["place"], certificate["names"]), ("listeners.default", ["hub-1.example", "mail.example"]))
        self.assertRegex(certificate["sha256"], "^[0-9a-f]{64}$")
        shown = subprocess.run(["openssl", "x509", "-in", str(pem), "-noout", "-issuer", "-subject", "-nameopt", "RFC2253"], capture_output=True, text=True, check=True).stdout
        self.assertIn("issuer=" + certificate["issuer"], shown)
        self.assertIn("subject=" + certificate["subject"], shown)
        self.assertIn("mail.example", self.run_on(hub, "tls").stdout)


class Top(CommandCase):
    def test_once_shows_every_hub_and_its_rates(self):
        sink = self.capture()
        hubs = self.cluster(2, sink.address, shadow="require")
        text = self.run_on(hubs.hubs[0], "top", "--once").stdout
        self.assertRegex(text, r"hub-1 +ready +0 +0 ")
        self.assertRegex(text, r"hub-2 +ready +0 +0 ")
        hubs.hubs[1].kill()
        wait_until(lambda: "no answer" in self.run_on(hubs.hubs[0], "top", "--once").stdout, 20, lambda: "hub-2 is missed")

    def test_on_a_terminal_of_80_by_24_it_fits_and_q_ends_it(self):
        hub = self.hub(self.capture().address)
        for key in (b"q", b"\x03"):
            code, output = on_terminal([str(places.UMBRA), "top", "--socket", str(hub.socket)], 80, 24, key)
            self.assertEqual(code, 0, output)
            painted = output.decode()
            self.assertIn("\x1b[?1049h", painted)
            self.assertTrue(painted.rstrip().endswith("\x1b[?1049l"), painted[-60:])
            for screen in painted.split("\x1b[H")[1:]:
                lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen).replace("\r", "").split("\n")
                self.assertLessEqual(len(lines), 24)
                for line in lines:
                    self.assertLessEqual(len(line), 80, line)


def on_terminal(argv, columns, lines, key, seconds=2.5, env=None):
    """Runs it on a terminal of that size, presses the key after a while. (exit code, what was painted)"""
    import fcntl
    import struct
    import termios
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.pop("COLUMNS", None)
        os.environ.pop("NO_COLOR", None)
        os.environ.update({"TERM": "xterm", **(env or {})})
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        os.execv(argv[0], argv)
    output, begun, is_pressed = b"", time.monotonic(), False
    while True:
        if key and not is_pressed and time.monotonic() - begun > seconds:
            os.write(terminal, key)
            is_pressed = True
        if time.monotonic() - begun > 30:
            os.kill(pid, 9)
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                piece = os.read(terminal, 65536)
            except OSError:
                break
            if not piece:
                break
            output += piece
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), output


class Output(CommandCase):
    def test_tables_fit_the_width_and_colours_are_for_terminals(self):
        away = self.deferring()
        hub = self.hub(away.address, **WAITING)
        self.send(hub, sender="a-rather-long-sender-name-of-somebody@source.example", recipients=["another-long-name-of-a-recipient@sink.example"])
        argv = [str(places.UMBRA), "queue", "search", "--socket", str(hub.socket)]
        wide = umbra(*argv[1:]).stdout
        self.assertIn("a-rather-long-sender-name-of-somebody@source.example", wide)
        self.assertNotIn("\x1b", wide)
        for columns in ("40", "80"):
            cut = umbra(*argv[1:], env={"COLUMNS": columns}).stdout
            self.assertIn("…", cut)
            for line in cut.splitlines():
                self.assertLessEqual(len(line), int(columns), line)
        painted = on_terminal(argv, 80, 24, None)[1].decode()
        self.assertIn("\x1b[1m", painted)
        for line in re.sub(r"\x1b\[[0-9;]*m", "", painted).replace("\r", "").splitlines():
            self.assertLessEqual(len(line), 80, line)
        self.assertNotIn("\x1b", on_terminal(argv, 80, 24, None, env={"NO_COLOR": "1"})[1].decode())

    def test_version_names_commit_and_libraries(self):
        said = json.loads(umbra("version", "--output", "json").stdout)
        self.assertEqual(set(said), {"version", "commit", "sqlite", "boost", "openssl"})
        self.assertRegex(said["sqlite"], r"^3\.\d+")
        self.assertRegex(said["boost"], r"^1\.\d+")
        self.assertRegex(said["openssl"], r"^3\.\d+")
        self.assertTrue(umbra("version").stdout.startswith("umbra " + said["version"] + "\n"))


class ExitCodes(CommandCase):
    def test_each_is_given(self):
        away = self.deferring()
        hub = self.hub(away.address, **WAITING)
        name = self.send(hub)
        self.run_on(hub, "queue", "show", name)
        self.assertEqual(umbra("check", "/nowhere/hub.yaml").returncode, 1)
        for wrong in (["queue"], ["queue", "show", "x"], ["queue", "search", "--older-than", "soon"], ["nothing"], ["top", "--interval", "0"]):
            self.assertEqual(umbra(*wrong, *(["--socket", str(hub.socket)] if wrong[-1] == "soon" else [])).returncode, 2, wrong)
        for words in (["status"], ["queue", "search"], ["queue", "delete", "0000000000000001-1"], ["top", "--once"], ["tls"], ["config", "diff"], ["config", "versions"], ["reload"], ["peers"]):
            done = umbra(*words, "--socket", str(self.folder / "nobody.sock"))
            self.assertEqual(done.returncode, 3, words)
            self.assertTrue(done.stderr.startswith("umbra: "), done.stderr)
        self.run_on(hub, "queue", "delete", "0000000000000001-1", code=4)
        self.run_on(hub, "resume", "delivery", "route:nowhere", code=4)
        self.run_on(hub, "queue", "search", "--sender", "nobody@else.test", code=4)
        self.run_on(hub, "safety-net", "cancel", "never-asked", code=5)
        with subprocess.Popen([str(places.UMBRA), "pause", "--unready-wait", "30s", "--socket", str(hub.socket)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pausing:
            wait_until(lambda: not hub.ready(), 10, "the pause has begun")
            self.run_on(hub, "resume")
            said, _ = pausing.communicate(timeout=20)
            self.assertEqual(pausing.returncode, 6, said)
        hub.stop()
        spool = next(hub.spool.glob("spool.db"))
        with contextlib.closing(sqlite3.connect(spool)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # else the pages are in the log, whole
        with open(spool, "r+b") as file:
            file.seek(4096)
            file.write(b"\xff" * 8192)
        done = umbra("spool", "check", hub.spool)
        self.assertEqual(done.returncode, 5, done.stdout + done.stderr)


class Completion(CommandCase):
    def complete(self, shell, script, words):
        """What that shell offers at the end of the words."""
        if shell == "bash":
            text = f"source {script}; COMP_WORDS=({' '.join(words[:-1])} '{words[-1]}'); COMP_CWORD={len(words) - 1}; _umbra; printf '%s\\n' \"${{COMPREPLY[@]}}\""
            return subprocess.run(["bash", "--norc", "-c", text], capture_output=True, text=True, check=True, timeout=20).stdout.split()
        if shell == "fish":
            text = f"source {script}; complete -C '{' '.join(words)}'"
            done = subprocess.run(["fish", "--no-config", "-c", text], capture_output=True, text=True, check=True, timeout=20)
            return [line.split("\t")[0] for line in done.stdout.splitlines()]
        # The completion system of zsh works on a terminal only: what the function would add is written down in place of being shown.
        text = (f"autoload -U compinit; compinit -u -D; source {script}; [[ $_comps[umbra] = _umbra ]] || exit 9; "
                "_describe() { print -l -- ${(P)2}; }; compadd() { shift; print -l -- $*; }; _files() { print -l FILES; }; "
                f"words=({' '.join(words[:-1])} '{words[-1]}'); CURRENT={len(words)}; _umbra")
        done = subprocess.run(["zsh", "-f", "-c", text], capture_output=True, text=True, check=True, timeout=20)
        return [line.split(":")[0] for line in done.stdout.splitlines() if line]

    def test_each_shell_completes_commands_options_and_values(self):
        for shell in ("bash", "zsh", "fish"):
            if shutil.which(shell) is None:
                self.skipTest(f"{shell} is not installed")
            with self.subTest(shell):
                script = pathlib.Path(self.folder) / f"umbra.{shell}"
                script.write_text(umbra("completion", shell).stdout)
                self.assertIn("queue", self.complete(shell, script, ["umbra", ""]))
                below = self.complete(shell, script, ["umbra", "queue", ""])
                self.assertIn("search", below)
                self.assertNotIn("peers", below)
                self.assertIn("--older-than", self.complete(shell, script, ["umbra", "queue", "search", "--" if shell != "zsh" else ""]))
                self.assertEqual(sorted(set(self.complete(shell, script, ["umbra", "queue", "search", "--state", ""])) & {"held", "queued", "search"}), ["held", "queued"])

    def test_the_manual_pages_are_without_a_warning(self):
        if shutil.which("man") is None:
            self.skipTest("man is not installed")
        names = umbra("reference", "man").stdout.split()
        self.assertIn("umbra-queue", names)
        for name in names:
            page = pathlib.Path(self.folder) / f"{name}.1"
            page.write_text(umbra("reference", "man", name).stdout)
            done = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", str(page)], capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C.UTF-8", "MANROFFSEQ": "", "MANWIDTH": "100"})
            self.assertEqual((done.returncode, done.stderr), (0, ""), name)
        self.assertEqual(umbra("reference", "man", "umbra-nothing").returncode, 2)


if __name__ == "__main__":
    unittest.main()
