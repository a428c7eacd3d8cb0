"""sslyze and testssl.sh: what scanners say of a server within TLS."""

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor

SECONDS = 600
# Said of the certificate, which is the test's own, or of names that do not resolve.
OWN = ("cert", "DNS_", "chain_of_trust", "trust", "overall", "grade", "final_score", "cap_", "rating", "engine", "scan")


def all_at_once(scanner, program, directory, contestants):
    """Runs a scanner, which waits most of its time, on each contestant; returns what it found by name."""
    with ThreadPoolExecutor(len(contestants)) as pool:
        found = pool.map(lambda one: scanner(program, directory, one), contestants)
        return {one.name: findings for one, findings in zip(contestants, found)}


def testssl(testssl, directory, contestant):
    """Returns what testssl.sh finds to be worse than "ok", and all that it says of weaknesses."""
    report = directory / f"testssl-{contestant.name}.json"
    command = [testssl, "--quiet", "--color", "0", "--warnings", "batch", "--nodns", "none", "--jsonfile", str(report)]
    subprocess.run([*command, f"127.0.0.1:{contestant.secured}"], capture_output=True, timeout=SECONDS)
    findings = {}
    for one in json.loads(report.read_text()):
        if one["severity"] in ("LOW", "MEDIUM", "HIGH", "CRITICAL", "WARN", "FATAL") and not one["id"].startswith(OWN):
            findings[one["id"]] = f"{one['severity']}: {one['finding']}"
    return findings


def sslyze(sslyze, directory, contestant):
    """Returns what sslyze finds to differ from Mozilla's intermediate configuration."""
    report = directory / f"sslyze-{contestant.name}.json"
    command = [sslyze, "--json_out", str(report), "--mozilla_config", "intermediate"]
    done = subprocess.run(
        [*command, f"127.0.0.1:{contestant.secured}"], capture_output=True, text=True, timeout=SECONDS
    )
    _, _, compliance = done.stdout.partition("COMPLIANCE AGAINST")
    lines = [line.strip() for line in compliance.splitlines() if line.strip().startswith("*")]
    findings = {f"intermediate {number}": line for number, line in enumerate(lines)}
    result = json.loads(report.read_text())["server_scan_results"][0]["scan_result"]
    for name, attempt in result.items():
        if name.endswith("_cipher_suites") and attempt["result"]:
            found = [one["cipher_suite"]["name"] for one in attempt["result"]["accepted_cipher_suites"]]
            findings[name] = ", ".join(found)
        elif name not in ("certificate_info", "http_headers") and attempt["result"]:
            findings[name] = json.dumps(attempt["result"])[:600]
    return findings


def tell(results, suite):
    """Prints what each contestant is told."""
    print(f"\n{suite}")
    for name, findings in results.items():
        print(f"{name}: {len(findings)}")
        for what, said in findings.items():
            print(f"    {what}: {said}")
