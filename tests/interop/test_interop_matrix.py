"""The runner's own judgement: what passes, what fails, what is not offered."""

from __future__ import annotations

import sys
import unittest
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import interop_matrix as matrix
import interop_report as report
from harness import process
from interop_programs import Program


def program(name: str, script: str = "", **more: Any) -> Program:
    """A client that is a shell script."""
    return Program(name, "1", (), ("sh", "-c", script), **more)


OURS = program("ours", ours=True)
PEER = program("peer")
OTHER_PEER = program("other")


def judged(script: str, case: str = "ping_pong", **more: Any) -> tuple[str, str]:
    """What comes of a client that does what `script` does."""
    job = matrix.Job(case, program("peer", script, **more), OURS, use_tls=False)
    return matrix.judge(job, process.run(job.client.client, 5))


class Judgement(unittest.TestCase):
    """Exit codes and what they mean."""

    def test_exit_code_0_passes(self) -> None:
        self.assertEqual(judged("exit 0"), (matrix.PASS, ""))

    def test_any_other_exit_code_fails_and_its_output_is_kept(self) -> None:
        result, detail = judged("echo wrong sum; exit 3")
        self.assertEqual(result, matrix.FAIL)
        self.assertIn("wrong sum", detail)

    def test_exit_code_77_is_not_offered_with_its_reason(self) -> None:
        outcome = judged("echo 'x: not offered: no such thing'; exit 77")
        self.assertEqual(outcome, (matrix.NOT_OFFERED, "peer client: no such thing"))

    def test_a_client_that_hangs_fails_and_is_ended(self) -> None:
        job = matrix.Job("ping_pong", program("peer", "sleep 60 & sleep 60"), OURS, use_tls=False)
        done = process.run(job.client.client, 0.2)
        self.assertIsNone(done.code)
        self.assertEqual(matrix.judge(job, done)[0], matrix.FAIL)

    def test_an_outdated_assertion_is_excused_for_its_case_alone(self) -> None:
        excuse = {"rst_during_data": "want Unknown"}
        script = "echo want Unknown; exit 1"
        outcome = judged(script, "rst_during_data", failure_that_passes=excuse)
        self.assertEqual(outcome[0], matrix.PASS)
        outcome = judged(script, "rst_after_data", failure_that_passes=excuse)
        self.assertEqual(outcome[0], matrix.FAIL)

    def test_what_a_server_lacks_is_not_run(self) -> None:
        server = program("peer", server_lacks={"ping_pong": "no streams"})
        job = matrix.Job("ping_pong", OURS, server, use_tls=False)
        self.assertEqual(matrix.lacking(job), "peer server: no streams")


class Plan(unittest.TestCase):
    """Who meets whom."""

    def names(self, only_ours: bool = False, only_peers: bool = False) -> list[str]:
        """The pairs, as text."""
        pairs = matrix.pairs([OURS], [PEER, OTHER_PEER], only_ours, only_peers)
        return [f"{client.name}>{server.name}" for client, server in pairs]

    def test_ours_meets_everyone_both_ways_and_peers_do_not_meet(self) -> None:
        wanted = ["ours>ours", "ours>peer", "ours>other", "peer>ours", "other>ours"]
        self.assertEqual(self.names(), wanted)

    def test_only_ours_is_one_pair(self) -> None:
        self.assertEqual(self.names(only_ours=True), ["ours>ours"])

    def test_between_peers_leaves_ours_out(self) -> None:
        wanted = ["peer>peer", "peer>other", "other>peer", "other>other"]
        self.assertEqual(self.names(only_peers=True), wanted)

    def test_every_case_is_run_in_plaintext_and_with_tls(self) -> None:
        jobs = matrix.plan([(OURS, PEER)], [OURS], lambda case: case in ("ping_pong", "goaway"))
        shown = [str(job) for job in jobs]
        wanted = [
            "ping_pong: ours -> peer, plaintext",
            "ping_pong: ours -> peer, TLS",
            "goaway: ours -> misbehaving server, plaintext",
        ]
        self.assertEqual(shown, wanted)


class Report(unittest.TestCase):
    """What the tables say."""

    def test_a_failure_is_never_shown_as_anything_else(self) -> None:
        job = matrix.Job("ping_pong", OURS, PEER, use_tls=True)
        outcomes = [matrix.Outcome(job, matrix.FAIL, "why", 1.0)]
        self.assertIn("| `ping_pong` | **FAIL** |", report.as_markdown(outcomes, [PEER]))
        self.assertIn("FAIL", report.as_text(outcomes))
        self.assertEqual(report.counts(outcomes)[matrix.FAIL], 1)

    def test_each_language_of_ours_has_tables_of_its_own(self) -> None:
        other = program("ours-too", ours=True)
        pairs = matrix.pairs([OURS, other], [PEER], only_ours=False, only_peers=False)
        jobs = matrix.plan(pairs, [OURS], lambda case: case in ("ping_pong", "goaway"))
        outcomes = [matrix.Outcome(job, matrix.PASS, "", 1.0) for job in jobs]
        found = {title: rows[0][1:] for title, rows in report.tables(outcomes)}
        wanted = {
            "Ours among themselves, plaintext": 4,
            "Ours among themselves, TLS": 4,
            "ours and the peers, plaintext": 2,
            "ours and the peers, TLS": 2,
            "ours-too and the peers, plaintext": 2,
            "ours-too and the peers, TLS": 2,
            "Misbehaving HTTP/2 server": 1,
        }
        self.assertEqual({title: len(heads) for title, heads in found.items()}, wanted)
        self.assertEqual(
            found["ours-too and the peers, TLS"], ["ours-too → peer", "peer → ours-too"]
        )


if __name__ == "__main__":
    unittest.main()
