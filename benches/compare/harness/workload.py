"""The keys that all contestants know, and the files in which they and the load find them."""

import hashlib
import random
import string
import subprocess

PAYING_LIMIT = 1_000_000_000
SPENT_LIMIT = 1
SPENT_CUSTOMERS = 100
UNKNOWN_KEYS = 10_000
BODY_BYTES = 1024

_ALPHABET = string.ascii_letters + string.digits


class Workload:
    """Customers with one key each, the last hundred on a plan of one unit, written to files once."""

    def __init__(self, directory, keys):
        chance = random.Random(keys)
        directory.mkdir(parents=True)
        self.directory = directory
        self.total = keys
        self.unknown = [_key(chance) for _ in range(UNKNOWN_KEYS)]
        spent = min(SPENT_CUSTOMERS, keys // 2)
        self.paying = {_key(chance): f"customer-{n:07}" for n in range(keys - spent)}
        self.spent = {_key(chance): f"spent-{n:07}" for n in range(spent)}
        self.hot = next(iter(self.paying))
        self._write()

    def customers(self):
        """All pairs of key and customer."""
        return [*self.paying.items(), *self.spent.items()]

    def keys_file(self, kind):
        """The file that the load generator reads: paying, spent, unknown or hot."""
        return self.directory / f"{kind}.txt"

    @property
    def map_file(self):
        """`key customer` lines: HAProxy's map, Caddy's map, and what the Lua code reads."""
        return self.directory / "keys.map"

    @property
    def nginx_map_file(self):
        """The same for nginx, which wants semicolons."""
        return self.directory / "keys.nginx"

    @property
    def digest_map_file(self):
        """The same with SHA-256 in the key's place, in capitals as HAProxy's `hex` writes them."""
        return self.directory / "keys.digests"

    @property
    def import_file(self):
        """The same for `faregate import`."""
        return self.directory / "customers.csv"

    def _write(self):
        pairs = self.customers()
        lists = {"paying": self.paying, "spent": self.spent, "unknown": self.unknown, "hot": [self.hot]}
        for kind, keys in lists.items():
            self.keys_file(kind).write_text("".join(f"{key}\n" for key in keys))
        self.map_file.write_text("".join(f"{key} {customer}\n" for key, customer in pairs))
        self.nginx_map_file.write_text("".join(f"{key} {customer};\n" for key, customer in pairs))
        digests = ((hashlib.sha256(key.encode()).hexdigest().upper(), who) for key, who in pairs)
        self.digest_map_file.write_text("".join(f"{digest} {who}\n" for digest, who in digests))
        lines = (f"{who},{'spent' if key in self.spent else 'paying'},{key}\n" for key, who in pairs)
        self.import_file.write_text("customer,plan,key\n" + "".join(lines))


def _key(chance):
    return "fg_test_" + "".join(chance.choices(_ALPHABET, k=49))


def body():
    """What the upstream answers: JSON of exactly 1 KiB."""
    text = '{"data":"'
    return text + "x" * (BODY_BYTES - len(text) - 2) + '"}'


def make_certificate(directory):
    """A certificate on P-256 for this machine: paths of certificate, key, and both in one file."""
    cert, key, both = (directory / name for name in ("tls.crt", "tls.key", "tls.pem"))
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "30", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", cert]
    subprocess.run(command, check=True, capture_output=True)
    both.write_text(cert.read_text() + key.read_text())
    return cert, key, both
