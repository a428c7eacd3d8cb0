"""Writes the results of scenarios as Markdown tables."""

from .figures import Figure, ratios, spread, values

# The share of the machine that others may take in a round before the table says so.
OTHERS_MAX = 0.1


def render(results):
    """All scenarios, each with the machine and the time it was measured at."""
    return "\n".join(_scenario(result) for result in results)


def _scenario(result):
    figures = [Figure(**figure) for figure in result["figures"]]
    lines = [f"## {result['scenario']}: {result['title']}", "", _circumstances(result), ""]
    heads = ["contestant", *(figure.title for figure in figures)]
    heads += _ratio_heads(result["reference"], [figure for figure in figures if figure.ratio])
    heads += ["remark"]
    lines += [_row(heads), _row(["---", *["---:"] * (len(heads) - 2), "---"])]
    reference = result["contestants"].get(result["reference"], {}).get("rounds", [])
    for name, told in result["contestants"].items():
        lines.append(_row(_cells(name, told, figures, reference)))
    return "\n".join([*lines, ""])


def _ratio_heads(reference, figures):
    if len(figures) == 1:
        return [f"ratio to {reference}"]
    return [f"{figure.title}: ratio to {reference}" for figure in figures]


def _cells(name, told, figures, reference):
    if told.get("lacks"):
        width = len(figures) + sum(figure.ratio for figure in figures)
        return [name, *["–"] * width, told["lacks"]]
    rounds = told["rounds"]
    cells = [name]
    cells += [_number(spread(values(rounds, figure.name)), figure.digits) for figure in figures]
    for figure in figures:
        if figure.ratio:
            cells.append(_number(spread(ratios(rounds, reference, figure.name)), 2))
    return [*cells, _remark(rounds)]


def _remark(rounds):
    """What went wrong, else what the rounds remark, each remark once."""
    problems = [one["problem"] for one in rounds if one.get("problem")]
    if problems:
        return f"**failed in {len(problems)} of {len(rounds)} rounds: {problems[0]}**"
    remarks = list(dict.fromkeys(one["remark"] for one in rounds if one.get("remark")))[:2]
    disturbed = [one["others"] for one in rounds if one.get("others", 0) > OTHERS_MAX]
    if disturbed:
        most = f"up to {max(disturbed):.0%} of the machine"
        remarks.append(f"others took {most} in {len(disturbed)} of {len(rounds)} rounds")
    return "; ".join(remarks)


def _number(found, digits):
    """The median, and behind it the extremes, unless there was one round only."""
    if found is None:
        return "–"
    text = f"{found.median:,.{digits}f}"
    if found.low == found.high:
        return text
    return f"{text} ({found.low:,.{digits}f}–{found.high:,.{digits}f})"


def _row(cells):
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _circumstances(result):
    machine = result["machine"]
    programs = ", ".join(f"{name} {version}" for name, version in result["programs"].items())
    options = result["options"]
    return (
        f"{result['time']}; {machine['processor']}, {machine['cores']} cores, Linux {machine['kernel']}; "
        f"load average at the start {result['load_average']:.2f}; logs on {machine['log_file_system']}. "
        f"{options['rounds']} rounds of {options['seconds']} s, {options['connections']} connections, "
        f"{options['workers']} workers, {options['keys']:,} keys. {programs}. "
        "Medians, in brackets the least and the greatest round."
    )
