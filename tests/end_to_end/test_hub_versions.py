"""Hubs of the release before and the one after, played by a second implementation on both ends of a session (docs/xshadow.md
section 11)."""
import smtplib
import unittest

from lab.case import LabCase
from lab.hub_server import HubServer
from lab.process import wait_until
from test_hub_protocol import SECRET, HubTalk


class Versions(LabCase):
    def setUp(self):
        super().setUp()
        self.cluster_of_two = self.cluster(2, "127.0.0.1:9", start=False)
        self.one, self.two = self.cluster_of_two.hubs

    def server(self, **options):
        server = HubServer(self.two.cluster_port, "hub-2", SECRET, **options)
        self.addCleanup(server.stop)
        self.one.start()
        return server

    def talk(self, **options):
        talk = HubTalk(self.one, **options)
        self.addCleanup(talk.close)
        return talk

    def test_a_client_of_the_next_version_is_served_in_ours(self):
        self.one.start()
        talk = self.talk(version=2)
        self.assertEqual(talk.prove(), 235)
        self.assertEqual(talk.used, 1)
        self.assertIn("XSHADOW 1", talk.ask("EHLO hub-2\r\n")[1])
        self.assertEqual(talk.ask("XBEAT 1 1\r\n")[0], 250)

    def test_a_client_of_a_later_version_may_say_more_in_its_hello(self):
        self.one.start()
        talk = self.talk(version=7)
        self.assertEqual(talk.ask("XHUB 7 " + " ".join(talk.hello) + " what=ever more\r\n")[0], 334)

    def test_a_server_of_the_next_version_serves_us_in_ours_and_takes_our_copies(self):
        server = self.server(highest=2, keywords=("XFUTURE 9",))
        wait_until(lambda: self.one.status()["peers"][0]["state"] == "alive", 10, "a session with the later hub")
        self.assertEqual(set(server.opened), {(1, 1)})
        with smtplib.SMTP("127.0.0.1", self.one.port, timeout=20) as client:
            client.sendmail("a@example.org", ["b@example.net"], "Subject: x\r\n\r\nhello\r\n")
        self.assertIn("XCOPY", server.commands)
        self.assertFalse([verb for verb in server.commands if verb == "XFUTURE"])

    def test_a_server_that_offers_nothing_hears_only_what_version_one_has(self):
        server = self.server()
        wait_until(lambda: server.commands.count("XBEAT") >= 3, 10, "beats")
        self.assertLessEqual(set(server.commands), {"XBEAT", "XASK", "XCOPY", "XCHUNK", "XFORGET", "XDONE", "XPOLL", "XSEEN", "NOOP"})

    def test_a_server_without_a_version_in_common_is_named_as_trouble(self):
        server = self.server(lowest=2, highest=3)
        wait_until(lambda: "no version" in (self.one.status()["peers"][0]["trouble"] or ""), 10, "the trouble in the status")
        self.assertEqual(set(server.offered), {1})
        self.assertFalse(server.opened)
        self.assertIn("no version of the protocol in common", self.one.umbra("peers").stdout)


if __name__ == "__main__":
    unittest.main()
