"""The admin API for tests: requests to the Unix socket and over TCP, and what the OpenAPI description says of the answers."""
import hashlib
import http.client
import json
import re
import socket
import ssl

import jsonschema

from . import places

DESCRIPTION = json.loads((places.ROOT / "docs" / "openapi.json").read_text())


class _Local(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("hub", timeout=30)
        self._path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Answer:
    def __init__(self, reply):
        self.status = reply.status
        self.type = reply.getheader("Content-Type")
        self.headers = reply.headers
        self.text = reply.read().decode()

    def json(self):
        return json.loads(self.text)


def ask(hub, method, target, token=None, tls=None, local=False, headers=()):
    """One request: over TCP with that bearer token and SSLContext, or on the socket."""
    if local:
        connection = _Local(hub.socket)
    elif tls:
        connection = http.client.HTTPSConnection(hub.host, hub.admin_port, timeout=30, context=tls)
    else:
        connection = http.client.HTTPConnection(hub.host, hub.admin_port, timeout=30)
    try:
        connection.request(method, target, headers={**dict(headers), **({"Authorization": f"Bearer {token}"} if token else {})})
        return Answer(connection.getresponse())
    finally:
        connection.close()


def tokens_file(path, *entries):
    """Of (name, role, token)."""
    path.write_text("".join(f"{name}:{role}:{hashlib.sha256(token.encode()).hexdigest()}\n" for name, role, token in entries))
    path.chmod(0o600)
    return path


def client_context(authority, certificate=None):
    context = ssl.create_default_context(cafile=str(authority.pem))
    context.check_hostname = False
    if certificate:
        context.load_cert_chain(str(certificate))
    return context


def operations():
    """(method, path pattern, what the description says of it)."""
    for path, methods in DESCRIPTION["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def check(method, pattern, answer, description=DESCRIPTION):
    """The answer is one that the description has: status, type and body."""
    responses = description["paths"][pattern][method.lower()]["responses"]
    if str(answer.status) not in responses:
        raise AssertionError(f"{method} {pattern} answered {answer.status}, which the description does not have: {answer.text[:500]}")
    content = responses[str(answer.status)]["content"]
    if answer.type not in content:
        raise AssertionError(f"{method} {pattern} answered {answer.type}, the description has {list(content)}")
    body = answer.json() if answer.type == "application/json" else answer.text
    schema = {**content[answer.type]["schema"], "components": description["components"]}
    try:
        jsonschema.validate(body, schema)
    except jsonschema.ValidationError as error:
        raise AssertionError(f"{method} {pattern} ({answer.status}): {error.message} at {list(error.absolute_path)}") from error


def fill(pattern, **words):
    return re.sub(r"{(\w+)}", lambda match: words[match[1]], pattern)
