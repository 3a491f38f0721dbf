"""Real hubs with the configuration that the chart renders, on loopback: one address for each, the ports that every pod has."""
import contextlib
import http.client
import os
import pathlib
import subprocess
import tempfile
import time

HUBS = {"mail-umbra-0": "127.0.0.2", "mail-umbra-1": "127.0.0.3"}


def make_secrets(folder, hub):
    """What is mounted at /etc/umbra-secrets: secret, and certificates with the hub's name."""
    for name in ("cluster", "smtp", "peers"):
        (folder / name).mkdir(exist_ok=True)
    write(folder / "cluster/secret", "s" * 48)
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={hub}",
                    "-addext", f"subjectAltName=DNS:{hub}", "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    for name in ("smtp", "peers"):
        write(folder / name / "tls.key", key.read_text())
        write(folder / name / "tls.crt", certificate.read_text())
        write(folder / name / "ca.crt", certificate.read_text())


def write(path, text):
    path.write_text(text)
    path.chmod(0o640)


def first_port():
    """Of the range UMBRA_PORTS (A-B), as the end-to-end tests have it."""
    return int(os.environ.get("UMBRA_PORTS", "21000-21499").split("-")[0])


def own_config(rendered, hub, folder, port):
    """The rendered configuration, but for what only a cluster has: DNS of pods and services, and ports of one address."""
    import yaml

    address = HUBS[hub]
    config = yaml.safe_load(yaml.safe_dump(rendered))
    config["spool"]["directory"] = str(folder / "spool")
    for number, listener in enumerate(config["listeners"]):
        listener["address"] = f"{address}:{port + number}"
    config["routes"][0]["hosts"] = [f"127.0.0.1:{port + 4}"]
    cluster = config["cluster"]
    del cluster["discovery"]
    cluster["members"] = [{"name": name, "address": f"{at}:{port + 2}"} for name, at in HUBS.items()]
    cluster["address"] = f"{address}:{port + 2}"
    cluster["secret_file"] = str(folder / "cluster/secret")
    config["admin"] = {"address": f"{address}:{port + 3}", "socket": str(folder / "admin.sock")}
    write(folder / "hub.yaml", yaml.safe_dump(config))
    return folder / "hub.yaml"


@contextlib.contextmanager
def running(rendered, build, folder, port):
    processes = []
    try:
        for hub in HUBS:
            own = folder / hub
            own.mkdir()
            make_secrets(own, hub)
            (own / "spool").mkdir()
            file = own_config(rendered, hub, own, port)
            with open(own / "log", "w") as log:
                processes.append(subprocess.Popen([str(build / "hub/umbra"), "run", "--config", str(file)], stdout=log, stderr=log,
                                                  env={**os.environ, "UMBRA_HUB_NAME": hub}))
        for hub, address in HUBS.items():
            wait_ready(address, port + 3, folder / hub / "log")
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_ready(address, port, log):
    until = time.monotonic() + 30
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            connection = http.client.HTTPConnection(address, port, timeout=2)
            connection.request("GET", "/healthz/ready")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.1)
    raise RuntimeError("a hub does not become ready: " + pathlib.Path(log).read_text()[-2000:])


def bash(script, folder, build, environment, seconds=60):
    path = f"{build / 'hub'}:{build / 'load'}:{os.environ['PATH']}"
    return subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True, timeout=seconds,
                          env={**os.environ, "PATH": path, **environment})


def listens(rendered, folder, build, port):
    """What is wrong with the addresses that a configuration names: a hub by itself, with other ports, takes them all; IPv4 is among them."""
    import yaml

    hub = next(iter(HUBS))
    make_secrets(folder, hub)
    config = yaml.safe_load(yaml.safe_dump(rendered))
    ports = {}

    def moved(address):
        host, _, number = address.rpartition(":")
        return f"{host}:{ports.setdefault(number, port + len(ports))}"

    for listener in config["listeners"]:
        listener["address"] = moved(listener["address"])
    config["cluster"].update(address=moved(config["cluster"]["address"]), secret_file=str(folder / "cluster/secret"), ownership="pairwise")
    config["admin"].update(address=moved(config["admin"]["address"]), socket=str(folder / "admin.sock"))
    config["spool"]["directory"] = str(folder / "spool")
    (folder / "spool").mkdir()
    write(folder / "hub.yaml", yaml.safe_dump(config))
    with open(folder / "log", "w") as log:
        process = subprocess.Popen([str(build / "hub/umbra"), "run", "--config", str(folder / "hub.yaml")], stdout=log, stderr=log, env={**os.environ, "UMBRA_HUB_NAME": hub})
    try:
        until = time.monotonic() + 20
        while process.poll() is None and time.monotonic() < until:
            with contextlib.suppress(OSError):
                connection = http.client.HTTPConnection("127.0.0.1", ports["9625"], timeout=2)
                connection.request("GET", "/healthz/live")
                if connection.getresponse().status == 200:
                    return ""
            time.sleep(0.1)
        return (folder / "log").read_text()[-1000:]
    finally:
        process.terminate()
        process.wait(20)


def try_scripts(scripts, rendered, build):
    problems = []
    port = first_port()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        mail = (scripts / "test-mail.sh").read_text().replace("cd /tmp\n", f"cd {folder}\n")
        of_mail = {"HUBS": " ".join(HUBS.values()), "SMTP_PORT": str(port + 1), "ADMIN_PORT": str(port + 3), "SINK_PORT": str(port + 4)}
        with running(rendered, build, folder, port):
            done = bash(mail, folder, build, {**of_mail, "COPIES": "1"})
            if done.returncode != 0 or "2 messages, 2 copies" not in done.stdout:
                problems.append(f"test-mail.sh: {done.returncode}: {done.stdout}{done.stderr}")
            done = bash(mail, folder, build, {**of_mail, "COPIES": "2"})
            if done.returncode == 0:
                problems.append(f"test-mail.sh is content with too few copies: {done.stdout}")
            problems += try_reload(scripts, folder, build)
        problems += try_hook(scripts, folder, build)
    return problems


def try_reload(scripts, folder, build):
    """The hub takes a changed file up without being told by anybody else."""
    hub = next(iter(HUBS))
    script = (scripts / "reload.sh").read_text().replace("/usr/bin/umbra", str(build / "hub/umbra"))
    watched = folder / "watched"
    (watched / "..data").mkdir(parents=True)
    (watched / "..data/hub.yaml").write_text("a")
    (watched / "hub.yaml").symlink_to("..data/hub.yaml")
    process = subprocess.Popen(["/bin/sh", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               env={**os.environ, "WATCHED": str(watched), "EVERY": "1", "UMBRA_SOCKET": str(folder / hub / "admin.sock")})
    try:
        time.sleep(1.5)
        log = folder / hub / "log"
        before = log.stat().st_size
        (watched / "..data/hub.yaml").write_text("b")
        until = time.monotonic() + 10
        while time.monotonic() < until and "reload" not in log.read_text()[before:].lower() and "configuration" not in log.read_text()[before:]:
            time.sleep(0.2)
        heard = log.read_text()[before:]
    finally:
        process.terminate()
        said = process.communicate(timeout=5)[0]
    problems = [] if "configuration" in heard or "reload" in heard.lower() else [f"reload.sh: the hub was not told: {said}"]
    return problems + ([] if process.returncode == 0 else [f"reload.sh: ended with {process.returncode} on SIGTERM"])


def try_hook(scripts, folder, build):
    """Where there is no hub, and where an API server is asked that is not there."""
    script = (scripts / "test-hook.sh").read_text()
    word = folder / "termination-log"
    word.touch()
    given = {"UMBRA_TERMINATION_LOG": str(word), "UMBRA_HUB_NAME": "mail-umbra-0", "UMBRA_PRESTOP_DEADLINE": "15s", "UMBRA_SOCKET": str(folder / "no.sock")}
    problems = []
    done = bash(script, folder, build, given)
    if done.returncode != 0:
        problems.append(f"test-hook.sh: {done.returncode}: {done.stdout}{done.stderr}")
    done = bash(script, folder, build, {**given, "UMBRA_STATEFULSET": "x", "UMBRA_NAMESPACE": "y", "KUBERNETES_SERVICE_HOST": "127.0.0.1",
                                        "KUBERNETES_SERVICE_PORT": "1", "UMBRA_SERVICE_ACCOUNT": str(folder)})
    if done.returncode == 0:
        problems.append(f"test-hook.sh is content without an API server: {done.stdout}")
    return problems
