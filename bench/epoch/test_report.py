"""What the benchmark says about its figures."""

import importlib.machinery
import importlib.util
import sys
import tempfile
import unittest
from argparse import Namespace
from pathlib import Path

sys.dont_write_bytecode = True
loader = importlib.machinery.SourceFileLoader("run", str(Path(__file__).parent / "run"))
run = importlib.util.module_from_spec(importlib.util.spec_from_loader("run", loader))
loader.exec_module(run)


def rounds(slowest):
    return [{"answered": 2, "asked": 3, "others": [4, slow], "all": slow} for slow in slowest]


class Report(unittest.TestCase):
    def test_percentiles_are_figures_that_were_measured(self):
        values = list(range(1, 101))
        self.assertEqual(run.running.percentile(values, 0.5), 50)
        self.assertEqual(run.running.percentile(values, 0.99), 99)
        self.assertEqual(run.running.percentile([7], 0.99), 7)

    def test_the_slowest_node_of_a_round_counts(self):
        summary = run.summarise(rounds([10, 20, 30]))
        self.assertEqual((summary["all"]["p50"], summary["all"]["most"]), (20, 30))
        self.assertEqual(summary["others"]["p99"], 30)

    def test_a_missed_target_is_said(self):
        args = Namespace(rounds=1, profile="release")
        self.assertIn("missed", run.table(args, run.summarise(rounds([1_001]))))
        self.assertIn("met", run.table(args, run.summarise(rounds([999]))))

    def test_the_table_goes_between_its_markers(self):
        with tempfile.TemporaryDirectory() as folder:
            page = Path(folder) / "page.md"
            page.write_text(f"before\n{run.BEGIN}\nold\n{run.END}\nafter\n")
            run.running.put(page, run.BEGIN, run.END, "new")
            self.assertEqual(page.read_text(),
                             f"before\n{run.BEGIN}\n\nnew\n\n{run.END}\nafter\n")


if __name__ == "__main__":
    unittest.main()
