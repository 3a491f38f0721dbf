"""An emulator of one small part of the Kubernetes API: Leases of coordination.k8s.io/v1 in one namespace, over TLS with a bearer
token. It is not Kubernetes (`make test-kubernetes` runs against a real API server); it can do what that one does only now and
then: conflicts, throttling, nonsense, outages."""
import http.server
import itertools
import json
import pathlib
import ssl
import subprocess
import threading
import urllib.parse

from . import places


class KubernetesLeaseEmulator:
    def __init__(self, folder, namespace="mail"):
        self.folder = pathlib.Path(folder) / "kubernetes"
        self.folder.mkdir(parents=True)
        self.namespace, self.host, self.port = namespace, "127.0.0.1", places.free_port()
        self.ca, self.key = self.folder / "ca.crt", self.folder / "key.pem"
        self.token_file, self.namespace_file = self.folder / "token", self.folder / "namespace"
        self.token_file.write_text("a-token-of-the-emulator\n")
        self.namespace_file.write_text(namespace)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                        "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", self.key, "-out", self.ca],
                       check=True, capture_output=True)
        self.leases, self.lock, self.versions = {}, threading.Lock(), itertools.count(1000)
        self.answer_instead = None  # function(method) -> (status, headers, body), "close", or None for the real answer
        self.requests = []
        self.server = None

    def arbiter(self):
        return {"endpoints": [f"{self.host}:{self.port}"], "ca_file": str(self.ca), "token_file": str(self.token_file), "namespace": self.namespace}

    def start(self):
        emulator = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                emulator.requests.append((self.command, self.path))
                instead = emulator.answer_instead(self.command) if emulator.answer_instead else None
                if instead == "close":
                    self.close_connection = True
                    return
                status, headers, reply = instead or (*emulator.carry_out(self.command, self.path, self.headers, body),)
                octets = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(octets)))
                self.end_headers()
                self.wfile.write(octets)

            do_GET = do_POST = do_PUT = answer

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass

        self.server = Server((self.host, self.port), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.ca, self.key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def stop(self):
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    def carry_out(self, method, target, headers, body):
        if headers.get("Authorization") != "Bearer " + self.token_file.read_text().strip():
            return 401, {}, {"kind": "Status", "reason": "Unauthorized"}
        url = urllib.parse.urlsplit(target)
        base = f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases"
        name = url.path[len(base) + 1:]
        if not url.path.startswith(base):
            return 404, {}, {"kind": "Status", "reason": "NotFound"}
        with self.lock:
            if method == "GET" and not name:
                wanted = urllib.parse.parse_qs(url.query).get("labelSelector", [""])[0].split("=")
                items = [lease for lease in self.leases.values() if len(wanted) != 2 or lease["metadata"]["labels"].get(wanted[0]) == wanted[1]]
                return 200, {}, {"kind": "LeaseList", "apiVersion": "coordination.k8s.io/v1", "items": items}
            lease = json.loads(body)
            if method == "POST":
                if lease["metadata"]["name"] in self.leases:
                    return 409, {}, {"kind": "Status", "reason": "AlreadyExists"}
            elif name not in self.leases:
                return 404, {}, {"kind": "Status", "reason": "NotFound"}
            elif lease["metadata"].get("resourceVersion") != self.leases[name]["metadata"]["resourceVersion"]:
                return 409, {}, {"kind": "Status", "reason": "Conflict"}
            lease["metadata"]["resourceVersion"] = str(next(self.versions))
            self.leases[lease["metadata"]["name"]] = lease
            return (201 if method == "POST" else 200), {}, lease
