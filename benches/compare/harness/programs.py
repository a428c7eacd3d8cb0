"""Makes sure of the programs that are compared and that make the load, and of Faregate itself."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

from .failure import Failure

REPOSITORY = Path(__file__).resolve().parents[3]

# Program: the Debian packages that bring it.
PACKAGES = {
    "haproxy": ["haproxy"],
    "nginx": ["nginx"],
    "nginx-lua": ["libnginx-mod-http-lua"],
    "caddy": ["caddy"],
    "wrk": ["wrk"],
    "h2load": ["nghttp2-client"],
    "strace": ["strace"],
    "openssl": ["openssl"],
}
MODULES = [Path("/usr/lib/nginx/modules"), Path("/usr/lib64/nginx/modules")]


def module(name):
    """The path of a dynamic module of nginx, None when it is not installed."""
    return next((folder / name for folder in MODULES if (folder / name).exists()), None)


def _present(program):
    if program == "nginx-lua":
        return module("ngx_http_lua_module.so") is not None
    return shutil.which(program) is not None


def prepare(programs):
    """Installs what is missing as root on Debian; elsewhere it says what to install."""
    missing = sorted(program for program in programs if not _present(program))
    if not missing:
        return
    packages = sorted(package for program in missing for package in PACKAGES[program])
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise Failure(f"missing: {', '.join(missing)}; on Debian: apt-get install {' '.join(packages)}")
    # With this runlevel invoke-rc.d does not start what it installs.
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for step in (["apt-get", "update", "-qq"], command):
        done = subprocess.run(step, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failure(f"{' '.join(step)} failed:\n{done.stderr.strip()[-2000:]}")
    still = [program for program in missing if not _present(program)]
    if still:
        raise Failure(f"still missing after {' '.join(command)}: {', '.join(still)}")


def versions(programs):
    """The version of each program as it tells it itself."""
    ask = {
        "haproxy": ["haproxy", "-v"],
        "nginx": ["nginx", "-v"],
        "caddy": ["caddy", "version"],
        "wrk": ["wrk", "-v"],
        "h2load": ["h2load", "--version"],
        "strace": ["strace", "-V"],
        "openssl": ["openssl", "version"],
    }
    told = {}
    for program in sorted(set(programs) & set(ask)):
        done = subprocess.run(ask[program], capture_output=True, text=True, check=False)
        found = re.search(r"\d+(\.\d+)+[^\s\[]*", done.stdout + done.stderr)
        told[program] = found.group(0) if found else "unknown"
    return told


def build():
    """Builds Faregate's release binary and returns its path."""
    command = ["cargo", "build", "--release", "--locked", "--message-format=json"]
    if shutil.which("cargo") is None:
        raise Failure("cargo is missing; install a Rust toolchain, or name a binary with --binary")
    done = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise Failure("cargo build --release failed")
    for line in done.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and message.get("target", {}).get("name") == "faregate":
            return Path(message["executable"])
    raise Failure("cargo did not tell where the binary is")


def describe_binary(path):
    """The version that a Faregate binary tells, with enough of its digest to tell two builds apart."""
    if not os.access(path, os.X_OK):
        raise Failure(f"{path} is not a program")
    done = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    digest = subprocess.run(["sha256sum", path], capture_output=True, text=True, check=False)
    return f"{done.stdout.strip()} (sha256 {digest.stdout[:12]})"
