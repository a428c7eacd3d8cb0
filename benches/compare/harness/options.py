"""The command line."""

import argparse
import os
from pathlib import Path

from . import contestants, scenarios

EPILOGUE = """Each scenario that was measured replaces its results in the output folder, so that a long run
can be made in pieces. table.md there has all of them."""


def parse(arguments):
    """The options of a run."""
    parser = argparse.ArgumentParser(prog="benches/compare/run", description=__doc__, epilog=EPILOGUE)
    parser.description = "Measures Faregate beside other proxies that do the same work."
    add = parser.add_argument
    known = list(scenarios.everything())
    usual = [name for name, scenario in scenarios.everything().items() if not scenario.extra]
    add("--scenarios", type=_names(known), default=usual, metavar="A,B", help="default: those without *")
    add("--contestants", type=_names(list(contestants.everyone())), metavar="A,B")
    add("--rounds", type=_positive, default=5, help="measurements of each contestant (default 5)")
    add("--seconds", type=_positive, default=5, help="length of a measurement (default 5)")
    add("--connections", type=_positive, default=64, help="connections of the load (default 64)")
    add("--workers", type=_positive, default=min(2, os.cpu_count() or 1), help="threads or workers of each")
    add("--keys", type=_positive, default=100_000, help="API keys that each contestant knows")
    add("--rate", type=_positive, default=2000, help="requests per second of pace and steady")
    add("--idle", type=_positive, default=5000, help="connections of the scenario idle")
    add("--minutes", type=_positive, default=60, help="length of the scenario steady (default 60)")
    add("--binary", type=Path, help="a Faregate to measure; default: it is built")
    add("--baseline", type=Path, help="another one, such as an older one, as one more contestant")
    add("--out", type=Path, default=Path("target/compare"), help="where results go (target/compare)")
    add("--list", action="store_true", help="print scenarios and contestants")
    options = parser.parse_args(arguments)
    if options.keys < 2:
        parser.error("--keys must be at least 2")
    options.contestants = options.contestants or _usual(options)
    if "baseline" in options.contestants and options.baseline is None:
        parser.error("the contestant baseline needs --baseline PATH")
    for name in ("binary", "baseline"):
        path = getattr(options, name)
        setattr(options, name, path.resolve() if path else None)
    return options


def print_list():
    """Prints what can be chosen."""
    print("Scenarios (those with * only when named):")
    for scenario in scenarios.everything().values():
        print(f" {_star(scenario)}{scenario.name:16} {scenario.title}")
    print("Contestants (those with * only when named):")
    for contestant in contestants.everyone().values():
        print(f" {_star(contestant)}{contestant.name:16} {contestant.summary}")


def _star(one):
    return "*" if one.extra else " "


def _usual(options):
    """Who takes part when nobody is named."""
    usual = [name for name, contestant in contestants.everyone().items() if not contestant.extra]
    return [name for name in usual if name != "baseline" or options.baseline]


def _names(known):
    """A parser for names with commas between them, which keeps the order of those known."""

    def parse_names(text):
        wanted = [name.strip() for name in text.split(",") if name.strip()]
        for name in wanted:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(known)}")
        return [name for name in known if name in wanted]

    return parse_names


def _positive(text):
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)
