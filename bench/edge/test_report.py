"""What the benchmark says about its figures, on figures that are made up: `python3 -m unittest`."""

import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace

from edgebench import profile, report


def results(**rounds):
    peers = [SimpleNamespace(name=n, base="nginx") for n in rounds]
    out = report.Results(peers)
    for name, rows in rounds.items():
        for row in rows:
            out.add("c64", name, {"bad": 0, **row})
    return out


class Ratios(unittest.TestCase):
    def test_a_ratio_is_the_median_of_pairs_of_a_round(self):
        # The machine slowed down by half in the last two rounds; both felt it.
        found = results(
            nginx=[{"rps": 100}, {"rps": 100}, {"rps": 50}, {"rps": 50}],
            own=[{"rps": 90}, {"rps": 90}, {"rps": 45}, {"rps": 10}],
        )
        self.assertAlmostEqual(found.ratio("c64", "own", "rps"), 0.9)

    def test_instructions_are_whole_only_where_the_kernel_was_counted(self):
        counted = {"instr_u": 40_000, "instr_k": 20_000}
        found = results(nginx=[{"instr_u": 20_000, "instr_k": 30_000}], own=[counted])
        self.assertEqual(found.instructions("own"), (60 / 50, False))
        found = results(nginx=[{}], own=[{}])
        self.assertEqual(found.instructions("own"), (None, False))
        found.counted = {"nginx": 24_000, "own": 49_000}
        ratio, estimated = found.instructions("own")
        self.assertAlmostEqual(ratio, 1.5)
        self.assertTrue(estimated)


class Budgets(unittest.TestCase):
    def verdicts(self, found):
        return {b.key: b.verdict() for b in report.budgets(found)}

    def test_a_measured_miss_fails_and_an_estimate_only_says_so(self):
        found = report.Results([SimpleNamespace(name=n, base="nginx")
                                for n in ("nginx", "plimsoll-policy")])
        found.counted = {"nginx": 24_000, "plimsoll-policy": 49_000}
        for rps in (99, 101, 102):
            found.add("c64", "nginx", {"rps": 100})
            found.add("c64", "plimsoll-policy", {"rps": rps})
        verdicts = self.verdicts(found)
        self.assertEqual(verdicts["policy_rps"], "met")
        self.assertEqual(verdicts["policy_instr"], "MISSED (estimate)")
        self.assertEqual(verdicts["policy_traefik"], "not measured")
        self.assertFalse(any(b.missed() for b in report.budgets(found)))
        for _ in range(4):
            found.add("c64", "nginx", {"rps": 100})
            found.add("c64", "plimsoll-policy", {"rps": 80})
        self.assertEqual(self.verdicts(found)["policy_rps"], "MISSED")
        self.assertTrue(any(b.missed() for b in report.budgets(found)))

    def test_the_last_line_names_every_budget(self):
        found = report.Results([SimpleNamespace(name=n, base="nginx")
                                for n in ("nginx", "plimsoll-policy")])
        line = report.result_line(found, report.budgets(found))
        self.assertTrue(line.startswith("RESULT "))
        self.assertIn("policy_rps=na", line)
        self.assertNotIn("\n", line)


class Markdown(unittest.TestCase):
    def test_only_what_stands_between_the_markers_changes(self):
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "page.md"
            begin, end = report.MARKERS
            path.write_text(f"above\n{begin}\nold\n{end}\nbelow\n")
            report.write_markdown(path, "new")
            report.write_markdown(path, "newer")
            self.assertEqual(path.read_text(), f"above\n{begin}\nnewer\n{end}\nbelow\n")


class Profile(unittest.TestCase):
    def test_what_a_callee_spent_is_counted_once(self):
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "callgrind.1"
            path.write_text("events: Ir\nfn=(1) main\n5 30\ncfn=(2) work\ncalls=3 9\n7 600\n"
                            "+2 10\n\nfn=(2)\n9 600\nsummary: 640\n")
            self.assertEqual(profile.functions(path, 10), [("work", 60.0), ("main", 4.0)])


if __name__ == "__main__":
    unittest.main()
