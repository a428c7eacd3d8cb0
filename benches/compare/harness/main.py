"""A run from its options to its tables."""

import datetime
import json
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from . import contestants, options, programs, scenarios, system, table
from .contestants.nginx import start_upstream
from .failure import Failure
from .processes import Processes
from .stage import Stage
from .verify import verify
from .workload import Workload, make_certificate

LOAD_AVERAGE_MAX = 1.0


@dataclass
class Run:
    """What scenarios need."""

    options: object
    stage: Stage
    workload: Workload
    # Two customers only, against which the memory of all is measured.
    few: Workload
    contestants: list


def main(arguments):
    """Runs everything; 0 when every answer was right, 1 when some was not, 130 after an interruption."""
    chosen = options.parse(arguments)
    if chosen.list:
        options.print_list()
        return 0
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
    try:
        return _run(chosen)
    except Failure as failure:
        print(f"compare: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("compare: interrupted", file=sys.stderr)
        return 130


def _interrupt(*_):
    raise KeyboardInterrupt


def _run(chosen):
    measured = [scenarios.everything()[name] for name in chosen.scenarios]
    competing = [contestants.everyone()[name] for name in chosen.contestants]
    needed = {"nginx", *(p for one in [*measured, *competing] for p in one.programs)}
    load_average = system.load_average()
    _say(f"load average {load_average:.2f}")
    if load_average > LOAD_AVERAGE_MAX:
        _say("warning: something else uses this machine; the figures will be less certain")
    programs.prepare(needed)
    about = {"load_average": load_average, "programs": programs.versions(needed)}
    if any(name.startswith("faregate") for name in chosen.contestants):
        chosen.binary = chosen.binary or programs.build()
        about["programs"]["faregate"] = programs.describe_binary(chosen.binary)
    if chosen.baseline:
        about["programs"]["baseline"] = programs.describe_binary(chosen.baseline)
    with tempfile.TemporaryDirectory(prefix="faregate-compare-") as folder, Processes() as started:
        about["machine"] = system.machine(folder)
        run = _set_up(chosen, Path(folder), started, competing)
        results = [*_standing(run, [s for s in measured if not s.fresh], about)]
        results += [*_fresh(run, [s for s in measured if s.fresh], about)]
    print(table.render(results))
    _write_table(chosen.out)
    return 1 if any(_problems(result) for result in results) else 0


def _set_up(chosen, folder, started, competing):
    stage = Stage(
        processes=started,
        directory=folder,
        workers=chosen.workers,
        descriptors=min(system.raise_descriptor_limit(), 200_000),
        certificate=make_certificate(folder),
        binary=chosen.binary,
        baseline=chosen.baseline,
    )
    start_upstream(stage)
    workload, few = Workload(folder / "keys", chosen.keys), Workload(folder / "few", 2)
    return Run(chosen, stage, workload, few, competing)


def _standing(run, measured, about):
    """The scenarios during which all contestants stay up and one at a time is loaded."""
    if not measured:
        return
    instances = {}
    tls = any(scenario.tls for scenario in measured)
    for contestant in run.contestants:
        _say(f"starting {contestant.name}")
        instance = contestant.start(run.stage, run.workload, tls)
        verify(contestant, instance, run.workload)
        instances[contestant.name] = instance
    for scenario in measured:
        yield _measure(run, scenario, about, lambda contestant: instances[contestant.name])
    for instance in instances.values():
        instance.stop()


def _fresh(run, measured, about):
    """The scenarios that start and stop the contestants themselves."""
    for scenario in measured:
        yield _measure(run, scenario, about, lambda contestant: None)


def _measure(run, scenario, about, instance_of):
    """All rounds of a scenario: A B C, A B C, so that a slow minute meets everybody."""
    told = {}
    for contestant in run.contestants:
        told[contestant.name] = {"summary": contestant.summary, "rounds": []}
        reason = scenario.lacks(contestant, run, instance_of(contestant))
        if reason:
            told[contestant.name]["lacks"] = reason
    rounds = min(run.options.rounds, scenario.rounds_max or run.options.rounds)
    for number in range(rounds):
        for contestant in run.contestants:
            if told[contestant.name].get("lacks"):
                continue
            one = scenario.measure(run, contestant, instance_of(contestant))
            told[contestant.name]["rounds"].append(one)
            _say(f"{scenario.name} {number + 1}/{rounds} {contestant.name}: {_brief(scenario, one)}")
    return _keep(run, scenario, about, told)


def _brief(scenario, one):
    if one.get("problem"):
        return one["problem"]
    known = [figure for figure in scenario.figures if one.get(figure.name) is not None]
    return ", ".join(f"{figure.title} {one[figure.name]:.{figure.digits}f}" for figure in known)


def _keep(run, scenario, about, told):
    """Writes a scenario's rounds as soon as it is done, so that a later failure does not lose them."""
    chosen = run.options
    names = ("rounds", "seconds", "connections", "workers", "keys", "rate", "idle", "minutes")
    result = {
        "scenario": scenario.name,
        "title": scenario.title,
        "time": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "reference": contestants.REFERENCE,
        **about,
        "options": {name: getattr(chosen, name) for name in names},
        "figures": [vars(figure) for figure in scenario.figures],
        "contestants": told,
    }
    chosen.out.mkdir(parents=True, exist_ok=True)
    path = chosen.out / f"{scenario.name}.json"
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    return result


def _write_table(out):
    """Writes the table of everything that the folder has results of, in the usual order."""
    paths = [out / f"{name}.json" for name in scenarios.everything()]
    results = [json.loads(path.read_text()) for path in paths if path.exists()]
    (out / "table.md").write_text(table.render(results))
    _say(f"written: {out / 'table.md'} and a JSON file with every round of each scenario")


def _problems(result):
    rounds = (one for told in result["contestants"].values() for one in told["rounds"])
    return any(one.get("problem") for one in rounds)


def _say(text):
    print(f"compare: {text}", file=sys.stderr, flush=True)
