"""What the benchmark says about its figures."""

import contextlib
import importlib.machinery
import importlib.util
import io
import sys
import unittest
import xml.dom.minidom
from argparse import Namespace
from pathlib import Path

sys.dont_write_bytecode = True
loader = importlib.machinery.SourceFileLoader("run", str(Path(__file__).parent / "run"))
run = importlib.util.module_from_spec(importlib.util.spec_from_loader("run", loader))
loader.exec_module(run)


def answer(kind, asked, took, status):
    made = run.loading.Answer(kind, asked, 1)
    made.took, made.status = took, status
    return made


def rows(goodput, critical=1.0, recovery=0.1):
    row = {"asked": 400, "goodput": goodput, "critical": critical, "refused": 0, "p99": 0.1,
           "late": 0.0}
    return {1: row, 10: row, "recovery": recovery}


def reported(ours, back=((0.5, 2.5, 3.0), run.STORM_CLIENTS, 4.0)):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = run.report((1, 10), {"plimsoll": ours}, back, Namespace(svg=None))
    return code, out.getvalue()


class Figures(unittest.TestCase):
    def test_what_is_refused_or_late_is_no_goodput(self):
        answers = [answer("critical", 0, 0.1, 200), answer("critical", 0, 0.1, 503),
                   answer("default", 0, 2.0, 0), answer("default", 0, 0.3, 200)]
        judged = run.judged(answers, 2.0)
        self.assertEqual((judged["goodput"], judged["critical"], judged["refused"]),
                         (1.0, 0.5, 0.25))

    def test_it_is_well_again_when_the_last_bad_answer_was_given(self):
        answers = [answer("default", 10.0, 0.5, 200), answer("default", 11.0, 0.1, 503),
                   answer("default", 12.0, 0.1, 200)]
        self.assertAlmostEqual(run.recovered(answers, 10.0), 1.1)

    def test_the_busiest_second_is_found_wherever_it_begins(self):
        self.assertEqual(run.most_in_a_second([0.0, 0.9, 1.5, 1.6, 1.8, 3.0]), 4)

    def test_each_budget_fails_the_run(self):
        self.assertEqual(reported(rows(390))[0], 0)
        uneven = {**rows(390), 10: {**rows(300)[1]}}
        for bad in (uneven, rows(390, critical=0.98), rows(390, recovery=2.5)):
            self.assertEqual(reported(bad)[0], 1)
        crowd = ([2.5] * 500, run.STORM_CLIENTS, 4.0)
        self.assertEqual(reported(rows(390), crowd)[0], 1)
        self.assertIn("RESULT goodput=1.000 critical=1.000", reported(rows(390))[1])

    def test_the_plot_is_well_formed(self):
        by = {"plimsoll": {1: 380, 10: 390}, "none": {1: 300, 10: 0}}
        xml.dom.minidom.parseString(run.plot.svg((1, 10), by, by, 400))


if __name__ == "__main__":
    unittest.main()
