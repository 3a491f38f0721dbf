"""The admin API over its socket and over TCP: credentials, roles, the OpenAPI description, the whole cluster, floods."""
import copy
import json
import re
import socket
import subprocess
import threading
import time
import unittest

from lab import admin, places
from lab.case import LabCase
from lab.certificates import Authority
from lab.hub import route_to
from lab.process import wait_until
from lab.talk import session

READ, WRITE = "r" * 64, "w" * 64


class Description(LabCase):
    """What docs/openapi.json says against what hubs answer."""

    def test_every_request_is_answered_as_it_is_described(self):
        away = self.capture()
        away.rcpt_reply = lambda address: "451 4.2.1 come back later"
        cluster = self.cluster(2, away.address, safety_net={"keep": "1h", "size": "10MB"})
        hub, other = cluster.hubs
        with session(hub.address) as talk:
            self.assertEqual(talk.send_mail(recipients=["b@sink.example"])[0], 250)
        message = wait_until(lambda: [m["id"] for m in hub.queue() if m["attempts"] > 0], 10, "an attempt")[0]
        asked = set()

        def ask(method, pattern, query="", expected=200, **words):
            answer = admin.ask(hub, method, admin.fill(pattern, **words) + query, local=True)
            self.assertEqual(answer.status, expected, f"{method} {pattern}{query}: {answer.text}")
            admin.check(method, pattern, answer)
            asked.add((method, pattern))
            return answer

        ids = {"id": message, "name": "night", "hub": other.name}
        ask("POST", "/v1/safety-net/resend", "?request=night&shadows=1")
        ask("POST", "/v1/safety-net/requests/{name}/cancel", expected=409, name="never")
        ask("POST", "/v1/suspend", "?what=delivery&name=*&seconds=600&reason=night%20work")
        queries = {"/v1/trace": f"?id={message}", "/v1/watch": "?seconds=1"}
        for method, pattern, _ in admin.operations():
            if method == "GET":
                ask(method, pattern, queries.get(pattern, ""), **ids)
        ask("GET", "/v1/queue/{id}", expected=404, id="0123456789abcdef-1")
        ask("GET", "/v1/queue", "?limit=0", expected=400)
        ask("GET", "/v1/messages/{id}", expected=404, id="0123456789abcdef-1")
        ask("GET", "/v1/hubs/{hub}/drain", expected=404, hub="nobody")
        ask("POST", "/v1/resume", "?what=delivery&name=*")
        ask("POST", "/v1/resume", "?what=delivery&name=*", expected=404)
        ask("POST", "/v1/queue/{id}/hold", id=message)
        ask("POST", "/v1/queue/{id}/reroute", "?to=config", expected=409, id=message)
        ask("POST", "/v1/queue/{id}/reroute", "?to=127.0.0.1%3A0", expected=400, id=message)
        for to in ("127.0.0.1%3A9", "config"):
            ask("POST", "/v1/queue/{id}/reroute", "?to=" + to, id=message)
            ask("GET", "/v1/queue/{id}", id=message)
        ask("POST", "/v1/queue/{id}/release", id=message)
        for action in ("hold", "release", "retry"):
            ask("POST", "/v1/queue/{id}/" + action, id=message)
        ask("GET", "/v1/queue/search", "?scope=everywhere", expected=400)
        for action in ("hold", "release", "retry"):
            done = ask("POST", "/v1/queue/search/" + action, "?sender=a%40source.example").json()
            self.assertEqual(done["done"], 1, done)
        ask("POST", "/v1/queue/search/reroute", "?sender=nobody%40source.example&to=config&scope=cluster")
        for action in ("bounce", "delete"):
            ask("POST", "/v1/queue/search/" + action, "?sender=nobody%40source.example")
            ask("POST", "/v1/queue/search/" + action, expected=400)
        ask("POST", "/v1/queue/{id}/delete", expected=404, id="0123456789abcdef-1")
        # What is being sent this moment is refused: the retry has begun an attempt.
        bounced = wait_until(lambda: (answer := admin.ask(hub, "POST", f"/v1/queue/{message}/bounce", local=True)).status == 200 and answer, 10, "bounced")
        admin.check("POST", "/v1/queue/{id}/bounce", bounced)
        asked.add(("POST", "/v1/queue/{id}/bounce"))
        ask("POST", "/v1/reload")
        ask("POST", "/v1/drain", "?verb=pause")
        ask("POST", "/v1/undrain")
        for verb in ("pause", "drain", "leave"):
            ask("POST", "/v1/hubs/{hub}/" + verb, hub=other.name)
            wait_until(lambda: ask("GET", "/v1/hubs/{hub}/drain", hub=other.name).json()["verb"] == verb, 10, verb)
            ask("POST", "/v1/hubs/{hub}/undrain", hub=other.name)
        self.assertEqual({(method, path) for method, path, _ in admin.operations()} - asked, set(), "all of the description was asked")

    def test_the_check_finds_what_is_wrong(self):
        hub = self.hub("127.0.0.1:9")
        answer = admin.ask(hub, "GET", "/v1/status", local=True)
        admin.check("GET", "/v1/status", answer)
        served = admin.ask(hub, "GET", "/v1/openapi.json", local=True)
        self.assertEqual(served.json(), admin.DESCRIPTION)
        for change in (lambda status: status.update(colour="blue"), lambda status: status.pop("epoch"), lambda status: status["queue"].update(held="none")):
            wrong = copy.copy(answer)
            body = answer.json()
            change(body)
            wrong.text = json.dumps(body)
            self.assertRaises(AssertionError, admin.check, "GET", "/v1/status", wrong)


class OverTcp(LabCase):
    def secured(self, **more):
        tokens = admin.tokens_file(self.folder / "tokens", ("monitor", "read", READ), ("ops@night", "write", WRITE))
        return self.hub("127.0.0.1:9", admin={"tokens_file": str(tokens), **more})

    def refusals(self, hub):
        lines = (json.loads(line) for line in hub.log.read_text().splitlines())
        return [line for line in lines if "admin request refused" in line.values()]

    def test_tokens_have_roles(self):
        hub = self.secured()
        nobody = admin.ask(hub, "GET", "/v1/status")
        self.assertEqual(nobody.status, 401)
        self.assertIn("Bearer", nobody.headers["WWW-Authenticate"])
        admin.check("GET", "/v1/status", nobody)
        self.assertEqual(admin.ask(hub, "GET", "/v1/status", token="x" * 64).status, 401)
        self.assertEqual(admin.ask(hub, "GET", "/v1/status", token=READ).status, 200)
        forbidden = admin.ask(hub, "POST", "/v1/drain?verb=pause", token=READ)
        self.assertEqual(forbidden.status, 403)
        admin.check("POST", "/v1/drain", forbidden)
        self.assertTrue(hub.ready())
        self.assertEqual(admin.ask(hub, "POST", "/v1/drain?verb=pause", token=WRITE).status, 200)
        self.assertFalse(hub.ready(), "health needs no credentials")
        wait_until(lambda: [line["status"] for line in self.refusals(hub)] == [401, 401, 403], 5, lambda: f"the lines: {self.refusals(hub)}")
        self.assertIn('"by":"token:ops@night"', hub.log.read_text().replace(" ", ""))
        self.assertNotIn(WRITE, hub.log.read_text())

    def test_tokens_are_read_again_and_wrong_ones_refused(self):
        hub = self.secured()
        admin.tokens_file(self.folder / "tokens", ("new", "write", "n" * 64))
        self.assertEqual(admin.ask(hub, "POST", "/v1/reload", token=WRITE).status, 200)
        self.assertEqual(admin.ask(hub, "GET", "/v1/status", token=WRITE).status, 401)
        self.assertEqual(admin.ask(hub, "GET", "/v1/status", token="n" * 64).status, 200)
        (self.folder / "tokens").write_text("new:root:00\n")
        refused = admin.ask(hub, "POST", "/v1/reload", token="n" * 64)
        self.assertEqual(refused.status, 409)
        self.assertIn("tokens:1: the role is read or write", refused.text)
        self.assertEqual(admin.ask(hub, "GET", "/v1/status", token="n" * 64).status, 200, "the former ones stay")

    def test_refused_again_and_again_is_limited_and_good_credentials_are_not(self):
        hub = self.secured()
        statuses = []
        def one():
            statuses.append(admin.ask(hub, "GET", "/v1/status", token="guess").status)
        threads = [threading.Thread(target=one) for _ in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual((statuses.count(401), statuses.count(429)), (30, 10), statuses)
        self.assertEqual(admin.ask(hub, "GET", "/v1/status", token=READ).status, 200)
        self.assertEqual(len(self.refusals(hub)), 10, "ten lines a minute")

    def test_certificates_have_roles_and_plain_http_has_health(self):
        authority, strangers = Authority(self.folder / "ca"), Authority(self.folder / "strangers")
        server = authority.issue("server.pem", "DNS:hub-1.example")
        hub = self.secured(tls={"certificate": str(server), "client_ca": str(authority.pem), "client_names_read": ["monitor.example"],
                                "client_names_write": ["ops.example"]})
        def status(name, method="GET", target="/v1/status", by=authority, token=None):
            certificate = by.issue(f"{name}.pem", f"DNS:{name}") if name else None
            return admin.ask(hub, method, target, tls=admin.client_context(authority, certificate), token=token).status
        self.assertEqual(status("monitor.example"), 200)
        self.assertEqual(status("monitor.example", "POST", "/v1/undrain"), 403)
        self.assertEqual(status("ops.example", "POST", "/v1/undrain"), 200)
        self.assertEqual(status("else.example"), 401)
        self.assertEqual(status("ops.example", by=strangers), 401)
        self.assertEqual(status(None), 401)
        self.assertEqual(status(None, token=READ), 200)
        self.assertEqual(status(None, target="/healthz/ready"), 200)
        self.assertTrue(hub.ready(), "a probe need not know of TLS")

    def test_tokens_are_not_to_cross_a_network_in_the_clear(self):
        hub = self.secured()
        config = json.loads(hub.config.read_text())
        config["admin"]["address"] = "0.0.0.0:9625"
        file = self.folder / "open.yaml"
        def check():
            file.write_text(json.dumps(config))
            return subprocess.run([places.UMBRA, "check", file], capture_output=True, text=True, timeout=30, check=False)
        refused = check()
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("in the clear", refused.stdout + refused.stderr)
        config["admin"]["allow_without_tls"] = True
        self.assertEqual(check().returncode, 0)
        (self.folder / "tokens").chmod(0o644)
        self.assertIn("read by everybody", check().stderr)

    def test_odd_requests_are_refused(self):
        hub = self.secured()
        for target in ("/v1/../v1/status", "//v1/status", "/v1/%73tatus", "/v1/status/", "/v1/status%00", "http://x/v1/status", "/v1", "/v1/queue/"):
            self.assertIn(admin.ask(hub, "GET", target, token=WRITE).status, (400, 404), target)
        whole = admin.ask(hub, "GET", "/metrics", headers={"Range": "bytes=0-1"})
        self.assertEqual(whole.status, 200, "Range is nothing that is understood here")
        self.assertIn("umbra_ready", whole.text)
        wrong = admin.ask(hub, "DELETE", "/v1/drain", token=WRITE)
        self.assertEqual((wrong.status, wrong.headers["Allow"]), (405, "GET, POST"))
        with socket.create_connection((hub.host, hub.admin_port), timeout=10) as large:
            large.sendall(b"POST /v1/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 100_000)
            self.assertIn(b" 413 ", large.recv(200))


class OfTheCluster(LabCase):
    def test_any_hub_answers_for_all_and_names_who_does_not(self):
        away = self.capture()
        away.rcpt_reply = lambda address: "451 4.2.1 come back later"
        cluster = self.cluster(3, away.address)
        with session(cluster.hubs[0].address) as talk:
            self.assertEqual(talk.send_mail(recipients=["b@sink.example"])[0], 250)
        message = cluster.hubs[0].queue()[0]["id"]
        for hub in cluster.hubs:
            status = admin.ask(hub, "GET", "/v1/cluster/status", local=True).json()
            self.assertEqual([(part["hub"], part["status"]["hub"]) for part in status["hubs"]], [(h.name, h.name) for h in cluster.hubs])
            copies = admin.ask(hub, "GET", f"/v1/messages/{message}", local=True).json()
            self.assertEqual(copies["copies"], 2)
            roles = [part["copy"]["role"] for part in copies["hubs"] if part["copy"]]
            self.assertEqual(sorted(roles), ["primary", "shadow"])
            queue = admin.ask(hub, "GET", "/v1/cluster/queue?limit=10", local=True).json()
            self.assertEqual([m["id"] for part in queue["hubs"] for m in part["page"]["messages"]], [message])
        one = admin.ask(cluster.hubs[1], "GET", "/v1/cluster/queue?hub=hub-1", local=True).json()
        self.assertEqual([part["hub"] for part in one["hubs"]], ["hub-1"])
        cluster.hubs[2].kill()
        began = time.monotonic()
        status = wait_until(lambda: (found := admin.ask(cluster.hubs[0], "GET", "/v1/cluster/status", local=True).json())["unanswered"] and found, 15, "it is missed")
        self.assertLess(time.monotonic() - began, 15)
        self.assertEqual([part["hub"] for part in status["hubs"] if not part["answered"]], ["hub-3"])
        self.assertTrue([part["why"] for part in status["hubs"] if part["why"]])
        self.assertEqual(admin.ask(cluster.hubs[0], "POST", "/v1/hubs/hub-3/drain", local=True).status, 504)

    def test_a_hub_is_drained_by_way_of_another(self):
        tokens = admin.tokens_file(self.folder / "tokens", ("monitor", "read", READ), ("ops", "write", WRITE))
        cluster = self.cluster(2, self.capture().address, shadow="prefer", admin={"tokens_file": str(tokens)})
        first, second = cluster.hubs
        self.assertEqual(admin.ask(first, "POST", "/v1/hubs/hub-2/drain", token=READ).status, 403)
        self.assertTrue(second.ready())
        began = admin.ask(first, "POST", "/v1/hubs/hub-2/drain?return_within=60", token=WRITE)
        self.assertEqual((began.status, began.json()["hub"], began.json()["verb"]), (200, "hub-2", "drain"))
        self.assertEqual(began.json()["return_within_seconds"], 60)
        wait_until(lambda: not second.ready(), 10, "it is not ready")
        self.assertTrue(first.ready())
        self.assertEqual(admin.ask(first, "POST", "/v1/hubs/hub-2/drain?verb=leave", token=WRITE).status, 400)
        self.assertEqual(admin.ask(first, "GET", "/v1/hubs/hub-2/drain", token=READ).json()["verb"], "drain")
        self.assertEqual(admin.ask(first, "POST", "/v1/hubs/hub-2/undrain", token=WRITE).status, 200)
        wait_until(second.ready, 10, "it is ready again")
        # The log is written a moment after the answer.
        def passed_on():
            lines = (json.loads(line) for line in second.log.read_text().splitlines())
            return [(line["hub"], line["by"], line["status"]) for line in lines if line.get("text") == "order by way of another hub"] or []
        wait_until(lambda: len(passed_on()) == 2, 10, lambda: f"both orders in the log: {passed_on()}")


class Flood(LabCase):
    """A flooded admin address costs mail little, and health is answered."""

    CONNECTIONS = 1000

    def mail_times(self, address, seconds):
        times = []
        end = time.monotonic() + seconds
        with session(address) as talk:
            while time.monotonic() < end:
                began = time.monotonic()
                self.assertEqual(talk.send_mail(recipients=["b@sink.example"])[0], 250)
                times.append(time.monotonic() - began)
        return sorted(times)

    def test_mail_flows_on(self):
        tokens = admin.tokens_file(self.folder / "tokens", ("ops", "write", WRITE))
        hub = self.hub(self.sink().address, admin={"tokens_file": str(tokens)})
        self.mail_times(hub.address, 1)
        alone = self.mail_times(hub.address, 4)
        stop = threading.Event()
        sent = [0]

        def flood(number):
            wanted = self.CONNECTIONS // 4
            held = []
            words = (b"", b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /v1/sta", b"POST /v1/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\nxxx",
                     b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n" + b"y" * 5000, b"\x16\x03\x01\x02\x00\x01",
                     b"GET /v1/status HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer guess\r\n\r\n")
            while not stop.is_set():
                try:
                    one = socket.create_connection((hub.host, hub.admin_port), timeout=2)
                    one.setblocking(False)
                    one.send(words[(number + sent[0]) % len(words)])
                    held.append(one)
                    sent[0] += 1
                except OSError:
                    pass
                while len(held) > wanted:
                    held.pop(0).close()
                time.sleep(0.002)
            for one in held:
                one.close()

        threads = [threading.Thread(target=flood, args=(number,), daemon=True) for number in range(4)]
        for thread in threads:
            thread.start()
        try:
            wait_until(lambda: sent[0] >= self.CONNECTIONS, 30, lambda: f"{sent[0]} connections")
            began = time.monotonic()
            self.assertTrue(hub.ready(), "health is answered in the flood")
            self.assertLess(time.monotonic() - began, 2)
            flooded = self.mail_times(hub.address, 4)
            self.assertEqual(admin.ask(hub, "GET", "/v1/status", token=WRITE).status, 200)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        rate = (len(alone) / 4) / (len(flooded) / 4)
        p99 = flooded[int(len(flooded) * 0.99)] / alone[int(len(alone) * 0.99)]
        print(f"\n{sent[0]} connections; mail alone {len(alone) / 4:.0f}/s, flooded {len(flooded) / 4:.0f}/s; p99 alone "
              f"{alone[int(len(alone) * 0.99)] * 1000:.1f} ms, ratio {p99:.2f}", flush=True)
        self.assertTrue(rate <= 3 or p99 <= 3, f"rate went down {rate:.1f} times, p99 up {p99:.1f} times")


class Documents(LabCase):
    """The examples of docs/admin-api.md, as they stand there."""

    def test_the_commands_of_the_page_work(self):
        page = (places.ROOT / "docs" / "admin-api.md").read_text()
        tokens = self.folder / "tokens"
        tokens.touch(0o600)
        commands = [line for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) for line in block.splitlines() if line and not line.startswith("#")]
        making = [line for line in commands if "curl" not in line]
        hub = None
        variables = f"cd {self.folder}; "
        asked = 0
        for line in making:
            line = line.replace("/etc/umbra/admin.tokens", str(tokens))
            variables += line + "\n"
        made = subprocess.run(["bash", "-euc", variables + 'echo "$token"'], capture_output=True, text=True, timeout=30, check=True)
        token = made.stdout.split()[-1]
        hub = self.hub("127.0.0.1:9", admin={"tokens_file": str(tokens)})
        for line in commands:
            if line in making:
                continue
            line = line.replace("/run/umbra/admin.sock", str(hub.socket)).replace("127.0.0.1:9625", f"{hub.host}:{hub.admin_port}").replace("hub-a", hub.name)
            done = subprocess.run(["bash", "-euo", "pipefail", "-c", f"token={token}; {line}"], capture_output=True, text=True, timeout=30, check=False)
            self.assertEqual(done.returncode, 0, f"{line}: {done.stderr}{done.stdout}")
            asked += 1
        self.assertGreaterEqual(asked, 4)


if __name__ == "__main__":
    unittest.main()
