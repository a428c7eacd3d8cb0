"""Medians and ratios, the tables made of them, and what a load generator's counts mean."""

import unittest
from pathlib import Path

from harness import table
from harness.figures import Spread, ratios, spread, values
from harness.load import Counted
from harness.scenarios.steady import slope

FOLDER = Path(__file__).resolve().parent.parent


def rounds(*numbers):
    """Rounds with one figure each."""
    return [{"cpu_us": number} for number in numbers]


def result(**contestants):
    """A scenario's result as it is written to a file."""
    return {
        "scenario": "forwards",
        "title": "forwarded",
        "time": "2026-01-31 10:00 UTC",
        "reference": "haproxy",
        "load_average": 0.25,
        "machine": {"processor": "P", "cores": 2, "kernel": "6", "log_file_system": "ext4"},
        "programs": {"haproxy": "2.6"},
        "options": {"rounds": 3, "seconds": 5, "connections": 64, "workers": 2, "keys": 100000},
        "figures": [{"name": "cpu_us", "title": "CPU µs/request", "digits": 1, "ratio": True}],
        "contestants": contestants,
    }


class Medians(unittest.TestCase):
    """Of the rounds that there are."""

    def test_the_middle_value_and_the_extremes(self):
        self.assertEqual(spread([9.0, 1.0, 2.0]), Spread(2.0, 1.0, 9.0))
        self.assertEqual(spread([1.0, 2.0]), Spread(1.5, 1.0, 2.0))

    def test_rounds_without_a_value_do_not_count(self):
        self.assertEqual(spread([None, 4.0]), Spread(4.0, 4.0, 4.0))
        self.assertIsNone(spread([None]))

    def test_a_failed_round_has_no_value(self):
        failed = {"cpu_us": 3.0, "problem": "2 of 9 answers were not 200"}
        self.assertEqual(values([failed, {"cpu_us": 4.0}], "cpu_us"), [None, 4.0])


class Ratios(unittest.TestCase):
    """Each round is compared with the reference's same round."""

    def test_a_slow_round_of_both_does_not_show(self):
        self.assertEqual(ratios(rounds(20, 200, 10), rounds(10, 100, 10), "cpu_us"), [2.0, 2.0, 1.0])

    def test_a_round_that_either_lacks_is_left_out(self):
        reference = [{"cpu_us": 10, "problem": "broken"}, {"cpu_us": 10}, {"cpu_us": 0}]
        self.assertEqual(ratios(rounds(20, 30, 40), reference, "cpu_us"), [3.0])
        self.assertEqual(ratios(rounds(20), [], "cpu_us"), [])


class Growth(unittest.TestCase):
    """What memory gains per second."""

    def test_a_line_has_its_slope(self):
        self.assertAlmostEqual(slope([(0, 5.0), (1, 7.0), (2, 9.0)]), 2.0)

    def test_what_goes_up_and_down_does_not_grow(self):
        self.assertAlmostEqual(slope([(0, 5.0), (1, 9.0), (2, 9.0), (3, 5.0)]), 0.0)

    def test_one_reading_tells_nothing(self):
        self.assertEqual(slope([(3, 5.0)]), 0.0)


class Tables(unittest.TestCase):
    """What a reader sees."""

    def test_medians_extremes_and_the_ratio(self):
        reference, own = {"rounds": rounds(10, 20, 30)}, {"rounds": rounds(20, 20, 30)}
        text = table.render([result(haproxy=reference, faregate=own)])
        self.assertIn("| contestant | CPU µs/request | ratio to haproxy | remark |", text)
        self.assertIn("| haproxy | 20.0 (10.0–30.0) | 1.00 |  |", text)
        self.assertIn("| faregate | 20.0 (20.0–30.0) | 1.00 (1.00–2.00) |  |", text)

    def test_a_disturbed_round_is_told(self):
        told = {"rounds": [{"cpu_us": 10.0, "others": 0.4}, {"cpu_us": 10.0, "others": 0.05}]}
        text = table.render([result(haproxy=told)])
        self.assertIn("others took up to 40% of the machine in 1 of 2 rounds", text)

    def test_what_a_contestant_lacks_stands_in_its_row(self):
        text = table.render([result(nginx={"lacks": "checks no keys", "rounds": []})])
        self.assertIn("| nginx | – | – | checks no keys |", text)

    def test_a_failure_cannot_be_overlooked(self):
        one = {"cpu_us": 10.0, "problem": "no request was answered"}
        text = table.render([result(caddy={"rounds": [one]})])
        self.assertIn("| caddy | – | – | **failed in 1 of 1 rounds: no request was answered** |", text)


class Answers(unittest.TestCase):
    """Which counts fail a round."""

    def test_all_as_expected(self):
        self.assertIsNone(Counted(100, refused=0, errors=0, seconds=1.0).problem(200))
        self.assertIsNone(Counted(100, refused=100, errors=0, seconds=1.0).problem(402))

    def test_a_refusal_among_forwards_and_a_forward_among_refusals(self):
        self.assertIsNotNone(Counted(100, refused=1, errors=0, seconds=1.0).problem(200))
        self.assertIsNotNone(Counted(100, refused=99, errors=0, seconds=1.0).problem(401))
        self.assertIsNone(Counted(100, refused=99, errors=0, seconds=1.0).problem(402, stray=0.01))

    def test_errors_of_connections_and_silence(self):
        self.assertIsNotNone(Counted(100, refused=0, errors=1, seconds=1.0).problem(200))
        self.assertIsNotNone(Counted(0, refused=0, errors=0, seconds=1.0).problem(200))


class Files(unittest.TestCase):
    """Every file of this folder."""

    def test_python_compiles(self):
        for path in [FOLDER / "run", *FOLDER.rglob("*.py")]:
            compile(path.read_text(encoding="utf-8"), str(path), "exec")


if __name__ == "__main__":
    unittest.main()
