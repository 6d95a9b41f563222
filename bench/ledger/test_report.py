"""What the benchmark says about its figures."""

import importlib.machinery
import importlib.util
import tempfile
import unittest
from argparse import Namespace
from pathlib import Path

loader = importlib.machinery.SourceFileLoader("run", str(Path(__file__).parent / "run"))
run = importlib.util.module_from_spec(importlib.util.spec_from_loader("run", loader))
loader.exec_module(run)


def lines(ratios, whole=True, after=0):
    said = []
    for number, ratio in enumerate(ratios):
        said += [{"round": number, "what": "plain", "per_second": 1000},
                 {"round": number, "what": "ledger", "per_second": 1000 * ratio}]
    return said + [{"verify_per_second": 5e4, "entries": 9, "checkpoints": 2, "whole": whole,
                    "after_checkpoint": after}]


class Report(unittest.TestCase):
    def test_the_ratio_is_the_median_over_rounds_of_one_run(self):
        summary = run.summarise(lines([0.5, 0.9, 0.85]))
        self.assertEqual((summary["ratio"], summary["least"], summary["most"]), (0.85, 0.5, 0.9))

    def test_a_ledger_that_is_not_whole_or_not_signed_to_its_end_is_not_whole(self):
        self.assertTrue(run.summarise(lines([1]))["whole"])
        self.assertFalse(run.summarise(lines([1], whole=False))["whole"])
        self.assertFalse(run.summarise(lines([1], after=1))["whole"])

    def test_a_missed_target_is_said(self):
        args = Namespace(writers=16, rounds=1, seconds=1, profile="release")
        self.assertIn("missed", run.table(args, run.summarise(lines([0.79]))))
        self.assertIn("met", run.table(args, run.summarise(lines([0.81]))))

    def test_the_table_goes_between_its_markers(self):
        with tempfile.TemporaryDirectory() as folder:
            page = Path(folder) / "page.md"
            page.write_text(f"before\n{run.BEGIN}\nold\n{run.END}\nafter\n")
            run.put(page, "new")
            self.assertEqual(page.read_text(),
                             f"before\n{run.BEGIN}\n\nnew\n\n{run.END}\nafter\n")


if __name__ == "__main__":
    unittest.main()
