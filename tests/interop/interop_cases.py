"""The official interop cases, in the order of their documents.

core:doc/interop-test-descriptions.md and
core:doc/http2-interop-test-descriptions.md describe what each one does.
"""

from __future__ import annotations

CASES: tuple[str, ...] = (
    "empty_unary",
    "cacheable_unary",
    "large_unary",
    "client_compressed_unary",
    "client_compressed_unary_noprobe",
    "server_compressed_unary",
    "client_streaming",
    "client_compressed_streaming",
    "client_compressed_streaming_noprobe",
    "server_streaming",
    "server_compressed_streaming",
    "ping_pong",
    "empty_stream",
    "custom_metadata",
    "status_code_and_message",
    "special_status_message",
    "unimplemented_method",
    "unimplemented_service",
    "cancel_after_begin",
    "cancel_after_first_response",
    "timeout_on_sleeping_server",
    "pick_first_unary",
    "rpc_soak",
    "channel_soak",
    "orca_per_rpc",
    "orca_oob",
    "max_concurrent_streams_connection_scaling",
)
"""Run between a client and a server, plaintext and TLS.

The two `_noprobe` cases are extras of grpc-java: as their namesakes, without
asking first whether the server looks at the flag of compressed messages.
"""

HTTP2_CASES: tuple[str, ...] = (
    "goaway",
    "rst_after_header",
    "rst_during_data",
    "rst_after_data",
    "ping",
    "max_streams",
    "data_frame_padding",
    "no_df_padding_sanity_test",
)
"""Run between a client and a server that misbehaves, plaintext."""

CLOUD_CASES: tuple[str, ...] = (
    "compute_engine_creds",
    "jwt_token_creds",
    "oauth2_auth_token",
    "per_rpc_creds",
    "google_default_credentials",
    "compute_engine_channel_credentials",
)
"""Need a cloud account, so they are run by nobody here."""

SOAK_FLAGS: tuple[str, ...] = (
    "--soak_iterations=20",
    # A machine that is busy with other things must not fail a case about gRPC.
    "--soak_per_iteration_max_acceptable_latency_ms=5000",
    "--soak_overall_timeout_seconds=30",
)
"""Added to the flags of rpc_soak and channel_soak, for every client."""
