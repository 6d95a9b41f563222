"""What the benchmark says about its figures."""

import importlib.machinery
import importlib.util
import sys
import unittest
from argparse import Namespace
from pathlib import Path

sys.dont_write_bytecode = True
loader = importlib.machinery.SourceFileLoader("run", str(Path(__file__).parent / "run"))
run = importlib.util.module_from_spec(importlib.util.spec_from_loader("run", loader))
loader.exec_module(run)


def rounds(answers):
    return [{"cold": {"answer": 900, "memory": 900}, "stop": 50,
             "warm": {"answer": answer, "memory": answer + 20}} for answer in answers]


class Report(unittest.TestCase):
    def test_the_median_is_judged(self):
        summary = run.summarise(rounds([10, 40, 5_000]))
        self.assertEqual(summary["warm_answer"], {"median": 40, "least": 10, "most": 5_000})
        self.assertEqual(summary["warm_memory"]["median"], 60)

    def test_a_missed_target_is_said(self):
        args = Namespace(rounds=1, profile="release")
        self.assertIn("missed", run.table(args, run.summarise(rounds([1_001]))))
        self.assertIn("met", run.table(args, run.summarise(rounds([999]))))


if __name__ == "__main__":
    unittest.main()
