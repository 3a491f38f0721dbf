"""Configurations in the pages: each `yaml` block that has keys of a hub's file takes their place in a whole file, and must pass `umbra check`."""
import os
import pathlib
import re
import subprocess
import tempfile

from lab import places

WHOLE = {
    "hub": "hub: {name: hub-a, host_name: hub-a.example.com}\n",
    "spool": "spool: {directory: spool}\n",
    "listeners": 'listeners:\n  - {name: applications, address: "127.0.0.1:25", networks: [127.0.0.0/8], shadow: require}\n',
    "routes": 'routes:\n  - {name: out, domains: ["*"]}\n',
    "cluster": "cluster:\n  address: 127.0.0.1:2525\n  secret_file: cluster.secret\n  members:\n"
               + "".join(f'    - {{name: hub-{letter}, address: "127.0.0.{i}:2525"}}\n' for i, letter in enumerate("abcd", 1)),
}
OTHERS = ("admin", "delivery", "pressure", "throttling_policies", "bounce_profiles", "content_filters", "safety_net", "log", "logs", "resolver")
# A hash of the right length; nobody has its password.
HASH = "$6$saltsalt$" + "a" * 86

# What the pages' configurations name.
SECRETS = {"cluster.secret": "a secret for this check only, 0123456789\n", "provider.password": "secret\n", "users": "alice:" + HASH + "\n"}


def parts_of(text):
    """Top-level key -> its lines."""
    found, key = {}, None
    for line in text.splitlines(keepends=True):
        begins = re.match(r"([a-z_]+):", line)
        if begins:
            key = begins.group(1)
        if key:
            found[key] = found.get(key, "") + line
    return found


def certificate(path):
    path.parent.mkdir()
    key = path.with_suffix(".key")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(key), "-out", str(path),
                    "-days", "2", "-subj", "/CN=mail.example.com"], check=True, capture_output=True)
    path.write_text(path.read_text() + key.read_text())
    path.chmod(0o600)


def check(text):
    """What `umbra check` says against it; empty when nothing."""
    with tempfile.TemporaryDirectory(prefix="umbra-") as folder:
        file = pathlib.Path(folder) / "hub.yaml"
        file.write_text("".join({**WHOLE, **parts_of(text)}.values()).replace("/etc/umbra/", ""))
        for name, content in SECRETS.items():
            secret = file.parent / name
            secret.write_text(content)
            secret.chmod(0o600)
        if "tls/mail.pem" in text:
            certificate(file.parent / "tls" / "mail.pem")
        done = subprocess.run([str(places.UMBRA), "check", str(file)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                              env={**os.environ, "LANG": "C.UTF-8"}, timeout=20)
        return "" if done.returncode == 0 else done.stdout


def problems(every):
    found = []
    for page in every:
        for block in page.blocks:
            keys = parts_of(block.text)
            if block.language == "yaml" and not block.not_run and keys and set(keys) <= {*WHOLE, *OTHERS}:
                said = check(block.text)
                if said:
                    found.append(f"{block.place}: umbra check says:\n{said}")
    return found
