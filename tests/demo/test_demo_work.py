"""The judgement of the demo: what counts as the same answer."""

from __future__ import annotations

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import demo_work
from harness.paths import DEMO

WORK = demo_work.make(DEMO / "data" / "zones.tsv")


class Difference(unittest.TestCase):
    """Comparing two answers."""

    def test_last_digits_of_distances_may_differ(self) -> None:
        one, other = [["Europe/Zurich", 100.00000000001]], [["Europe/Zurich", 100.0]]
        self.assertIsNone(demo_work.difference(one, other, "near"))

    def test_a_metre_is_a_difference_and_its_place_is_named(self) -> None:
        found = demo_work.difference(
            [["Europe/Zurich", 100.001]], [["Europe/Zurich", 100.0]], "near"
        )
        self.assertEqual(found, "near[0][1]: 100.001 and 100.0")

    def test_a_missing_zone_is_a_difference(self) -> None:
        self.assertIsNotNone(demo_work.difference(["a", "b"], ["a"], "journey"))

    def test_a_status_is_no_answer(self) -> None:
        self.assertIsNotNone(demo_work.difference({"code": 5}, [], "get"))


class Mistakes(unittest.TestCase):
    """What can be seen without another implementation."""

    def answers(self) -> demo_work.Answers:
        """Answers that look right."""
        right: demo_work.Answers = {
            name: [[item] for item in items[:-1]] for name, items in WORK.items()
        }
        for name in WORK:
            code = demo_work.NOT_FOUND if name == "get" else demo_work.INVALID_ARGUMENT
            right[name].append({"code": code})
        return right

    def test_right_answers_have_none(self) -> None:
        self.assertEqual(demo_work.plain_mistakes(WORK, self.answers()), [])

    def test_a_bad_call_that_succeeds_is_one(self) -> None:
        answers = self.answers()
        answers["near"][-1] = []
        self.assertEqual(len(demo_work.plain_mistakes(WORK, answers)), 1)

    def test_a_good_call_that_fails_is_one(self) -> None:
        answers = self.answers()
        answers["locate"][0] = {"code": 14}
        self.assertEqual(demo_work.plain_mistakes(WORK, answers), ["locate: 1 good calls failed"])

    def test_another_zone_than_asked_for_is_one(self) -> None:
        answers = self.answers()
        answers["get"][0] = ["Europe/Zurich"]
        self.assertEqual(len(demo_work.plain_mistakes(WORK, answers)), 1)

    def test_a_missing_answer_is_one(self) -> None:
        answers = self.answers()
        answers["journey"].pop()
        self.assertEqual(len(demo_work.plain_mistakes(WORK, answers)), 1)


class Work(unittest.TestCase):
    """What the clients are asked to do."""

    def test_all_positions_but_the_last_calls_are_on_earth(self) -> None:
        positions = [question["position"] for question in WORK["near"][:-1]]
        positions += [
            position for call in (*WORK["journey"][:-1], *WORK["locate"][:-1]) for position in call
        ]
        for latitude, longitude in positions:
            self.assertLessEqual(abs(latitude), 90)
            self.assertLessEqual(abs(longitude), 180)

    def test_every_zone_is_asked_for(self) -> None:
        self.assertGreater(len(WORK["get"]), 300)


if __name__ == "__main__":
    unittest.main()
