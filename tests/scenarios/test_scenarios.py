"""Tests of what the runner judges by: gaps, shares, answers of names, the page."""

from __future__ import annotations

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import scenario_dns as dns
import scenario_judge as judge
import scenario_report as report
from run import wrong
from scenario_judge import Call
from scenario_list import SCENARIOS


def calls(*backends: str, begin: float = 0.0) -> list[Call]:
    """One call every 10 ms that takes 5; an empty name is a call that failed."""
    return [
        Call(at, at + 5, "OK" if backend else "UNAVAILABLE", backend)
        for backend, at in ((each, begin + 10 * place) for place, each in enumerate(backends))
    ]


class Gaps(unittest.TestCase):
    """The longest time without a success."""

    def test_failures_in_between_are_a_gap(self) -> None:
        self.assertAlmostEqual(judge.longest_gap(calls("a", "", "", "a")), 0.030)

    def test_failures_at_the_beginning_and_the_end_count(self) -> None:
        self.assertAlmostEqual(judge.longest_gap(calls("", "", "a")), 0.025)
        self.assertAlmostEqual(judge.longest_gap(calls("a", "", "", "")), 0.030)

    def test_without_calls_there_is_none(self) -> None:
        self.assertEqual(judge.longest_gap([]), 0)


class Shares(unittest.TestCase):
    """When a backend has its share."""

    def test_half_of_its_share_is_enough(self) -> None:
        few = ["a", "a", "b"] * 3 + ["a"] * 15
        self.assertIsNone(judge.share_after(calls(*few), "b", 0, 1 / 3))
        enough = ["a", "a", "b"] * 4 + ["a"] * 12
        self.assertAlmostEqual(judge.share_after(calls(*enough), "b", 0, 1 / 3) or 0, 0.025)

    def test_calls_before_do_not_count(self) -> None:
        found = calls(*["b"] * 40, *["a"] * 40)
        self.assertIsNone(judge.share_after(found, "b", 400, 1 / 2))

    def test_the_time_is_that_of_its_first_answer(self) -> None:
        found = calls(*["a"] * 10, *["a", "b"] * 20)
        self.assertAlmostEqual(judge.share_after(found, "b", 0, 1 / 2) or 0, 0.115)

    def test_success_after_a_moment(self) -> None:
        self.assertAlmostEqual(judge.success_after(calls("a", "", "a"), 10) or 0, 0.015)
        self.assertIsNone(judge.success_after(calls("a", ""), 10))


class Verdicts(unittest.TestCase):
    """What ours must not do."""

    def test_a_call_that_failed_is_a_fault(self) -> None:
        self.assertEqual(wrong(SCENARIOS["killed"], judge.measure(calls("a"), 1.0, 1.0)), [])
        self.assertTrue(wrong(SCENARIOS["killed"], judge.measure(calls("a", ""), 1.0, 1.0)))

    def test_waiting_in_vain_is_a_fault(self) -> None:
        self.assertTrue(wrong(SCENARIOS["added"], judge.measure(calls("a"), None, 30.0)))

    def test_another_status_is_a_fault(self) -> None:
        late = [Call(0, 500, "DEADLINE_EXCEEDED")]
        self.assertEqual(wrong(SCENARIOS["nobody"], judge.measure(late)), [])
        self.assertTrue(wrong(SCENARIOS["nobody"], judge.measure(calls(""))))


class Differences(unittest.TestCase):
    """The lines about clients that do otherwise."""

    def test_there_is_a_line_for_each_scenario_in_which_clients_differ(self) -> None:
        good = judge.measure(calls("a"), 1.0, 1.0).as_json()
        bad = judge.measure(calls("a", ""), None, 8.0).as_json()
        self.assertEqual(report.differences({"added": {"ours": good, "theirs": good}}), [])
        (line,) = report.differences({"added": {"ours": good, "theirs": bad}})
        self.assertIn("theirs – calls failed, not found", line)


class Names(unittest.TestCase):
    """Answers of the name server."""

    QUERY = (
        b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x08backends\x04test\x00\x00\x01\x00\x01"
    )

    def test_addresses_are_answered(self) -> None:
        found = dns.answer(self.QUERY, "backends.test", ["127.0.1.1", "127.0.1.2"])
        self.assertEqual(found[:8], b"\x12\x34\x81\x80\x00\x01\x00\x02")
        self.assertTrue(found.endswith(bytes([127, 0, 1, 2])))

    def test_errors_are_answered(self) -> None:
        found = dns.answer(self.QUERY, "backends.test", dns.SERVER_FAILURE)
        self.assertEqual(found[3] & 0xF, dns.SERVER_FAILURE)

    def test_other_names_do_not_exist(self) -> None:
        found = dns.answer(self.QUERY, "elsewhere.test", ["127.0.1.1"])
        self.assertEqual((found[3] & 0xF, found[7]), (dns.NO_SUCH_NAME, 0))

    def test_other_types_have_no_answer(self) -> None:
        found = dns.answer(self.QUERY[:-3] + b"\x1c\x00\x01", "backends.test", ["127.0.1.1"])
        self.assertEqual((found[3] & 0xF, found[7]), (dns.NO_ERROR, 0))


if __name__ == "__main__":
    unittest.main()
