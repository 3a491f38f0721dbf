"""Certificates for tests, made by openssl(1) when they are needed."""
import pathlib
import subprocess


def _openssl(*arguments, **options):
    return subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, text=True, timeout=60, **options)


class Authority:
    """Issues certificates; everything lies in `folder`."""

    def __init__(self, folder, name="ca"):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.key = self.folder / f"{name}.key"
        self.pem = self.folder / f"{name}.pem"
        _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", self.key, "-out", self.pem,
                 "-days", "30", "-subj", f"/CN={name}", "-addext", "basicConstraints=critical,CA:TRUE")

    def issue(self, file, names, expired=False):
        """Certificate and key in one file; `names` as in subjectAltName: "DNS:a.example,URI:umbra://hub/a"."""
        file = self.folder / file
        request = file.with_suffix(".csr")
        key = file.with_suffix(".key")
        _openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", request, "-subj",
                 "/CN=leaf")
        extensions = file.with_suffix(".ext")
        extensions.write_text(f"basicConstraints=critical,CA:FALSE\nsubjectAltName={names}\n")
        # A certificate that ended before it began has expired for sure.
        validity = ["-days", "-1"] if expired else ["-days", "20"]
        made = _openssl("x509", "-req", "-in", request, "-CA", self.pem, "-CAkey", self.key, "-CAcreateserial", "-extfile", extensions, *validity)
        # Replaced at once, as careful tools do: a hub never reads half of it.
        fresh = file.with_suffix(".new")
        fresh.write_text(made.stdout + key.read_text())
        fresh.chmod(0o600)
        fresh.replace(file)
        return file
