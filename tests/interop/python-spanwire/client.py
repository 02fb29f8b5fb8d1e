"""The official interop client cases, on Spanwire.

    client.py --api=asyncio|sync --server_port=PORT --test_case=large_unary
        [--use_tls=true --custom_ca_file=ca.pem --server_host_override=foo.test.google.fr]

Exit codes: 0 the case passed, 1 it failed (the reason is on standard error),
77 it is not offered.
"""

from __future__ import annotations

import argparse
import importlib
import sys

from spanwire import RpcError

import testing


def boolean(text: str) -> bool:
    """The official flags write booleans out: `--use_tls=true`."""
    return text.lower() in ("true", "1", "yes")


def parse() -> argparse.Namespace:
    """The official flags of an interop client, and which of our APIs to use."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--api", choices=("asyncio", "sync"), default="asyncio")
    parser.add_argument("--server_host", default="127.0.0.1")
    parser.add_argument("--server_port", type=int, required=True)
    parser.add_argument("--server_host_override", default="")
    parser.add_argument("--test_case", required=True)
    parser.add_argument("--use_tls", type=boolean, default=False)
    parser.add_argument("--custom_ca_file", default=None)
    parser.add_argument("--soak_iterations", type=int, default=10)
    parser.add_argument("--soak_max_failures", type=int, default=0)
    parser.add_argument("--soak_per_iteration_max_acceptable_latency_ms", type=int, default=1000)
    parser.add_argument("--soak_overall_timeout_seconds", type=int, default=10)
    parser.add_argument("--soak_min_time_ms_between_rpcs", type=int, default=0)
    parser.add_argument("--soak_request_size", type=int, default=testing.LARGE_REQUEST)
    parser.add_argument("--soak_response_size", type=int, default=testing.LARGE_RESPONSE)
    parser.add_argument("--soak_num_threads", type=int, default=1)
    return parser.parse_args()


def main() -> int:
    """Runs one case; the exit code is its outcome."""
    flags = parse()
    name = flags.test_case
    cases = importlib.import_module("cases" if flags.api == "asyncio" else "cases_sync")
    if name not in cases.CASES:
        print(
            f"{name}: not offered: {testing.NOT_OFFERED.get(name, 'unknown case')}", file=sys.stderr
        )
        return testing.NOT_OFFERED_EXIT
    try:
        cases.run(name, flags)
    except (testing.CaseFailed, RpcError) as error:
        print(f"{name}: FAIL: {error}", file=sys.stderr)
        return 1
    print(f"{name}: pass")
    return 0


if __name__ == "__main__":
    sys.exit(main())
