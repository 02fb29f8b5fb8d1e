"""The keywords of calls, channels and servers. Times are seconds; what is not given is the engine's default.

``float("inf")`` turns off what can be turned off; elsewhere it is an error, and so are 0 and less.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from os import PathLike
from typing import Literal, TypeAlias, TypedDict

from ._native import Jwt, Tls
from .errors import MetadataLike

Compression: TypeAlias = Literal["gzip", "deflate", "zstd", "identity"]
"""How messages may be compressed; ``identity`` leaves them as they are."""


Token: TypeAlias = str | tuple[str, datetime | float]
"""A bearer token; or one and when it ends, as a time or in seconds since 1970. Without that a JWT's own ``exp`` counts,
and other tokens are asked for once a minute."""

TokenSource: TypeAlias = Callable[[], Token | Awaitable[Token]]
"""Gets a token when one is due."""


class Certificate(TypedDict, total=False):
    """One of the further certificates of a server, and its key: PEM, or files."""

    certificate_pem: bytes | str
    """The certificate with its chain."""
    certificate_file: str | PathLike[str]
    """The same, as a file."""
    key_pem: bytes | str
    """The key."""
    key_file: str | PathLike[str]
    """The same, as a file."""


class CallOptions(TypedDict, total=False):
    """The keywords of every call."""

    timeout: float | None
    """Seconds after which the call fails with DEADLINE_EXCEEDED."""
    metadata: MetadataLike | None
    """The request's metadata."""
    compression: Compression | None
    """Compresses the request messages."""
    wait_for_ready: bool | None
    """Wait while no connection can be made, instead of failing with UNAVAILABLE."""
    max_recv_message_bytes: int | None
    """Largest message to accept, after decompression."""
    max_send_message_bytes: int | None
    """Largest message to send, before compression."""


class Limits(TypedDict, total=False):
    """What both channels and servers limit."""

    max_recv_message_bytes: int | float | None
    """Largest message to accept, after decompression."""
    max_send_message_bytes: int | float | None
    """Largest message to send, before compression."""
    max_metadata_bytes: int | float | None
    """Largest metadata to accept, as HTTP/2 counts them."""
    max_metadata_fields: int | float | None
    """Most metadata entries to accept."""
    stream_window_bytes: int | None
    """What a stream may have under way to us, at first."""
    max_stream_window_bytes: int | None
    """How far that may grow."""
    connection_window_bytes: int | None
    """What all streams of a connection may have under way to us."""
    send_buffer_bytes: int | None
    """What one stream may have queued for sending."""
    flood_resets_burst: int | float | None
    """Resets of unanswered calls: at once."""
    flood_resets_per_second: int | float | None
    """And a second."""
    flood_max_early_refusals: int | None
    """Calls that may be refused at the beginning, before the peer knows the limit."""
    flood_settings_burst: int | None
    """SETTINGS frames at once."""
    flood_settings_per_second: int | None
    """And a second."""
    flood_max_settings_entries: int | None
    """Entries in one SETTINGS frame."""
    flood_control_frames_burst: int | None
    """Frames that do nothing, at once."""
    flood_control_frames_per_second: int | None
    """And a second."""
    flood_max_continuations: int | None
    """CONTINUATION frames in one header block."""
    flood_max_pending_acks: int | None
    """Acknowledgements that may wait before nothing more is read."""
    flood_small_data_budget: int | None
    """What unread small DATA frames may add up to."""


class TelemetryOptions(TypedDict, total=False):
    """What records calls, and where that is sent. Channels and servers that say the same share one."""

    endpoint: str | None
    """Where it is sent, such as "http://collector:4317"; "" is nowhere. By default as the environment says
    (``OTEL_EXPORTER_OTLP_ENDPOINT``), and else "http://localhost:4317"."""
    service_name: str | None
    """Whose it is; by default as the environment says (``OTEL_SERVICE_NAME``)."""
    resource_attributes: str | None
    """What else tells the process from others: "key=value,key=value"; by default as the environment says
    (``OTEL_RESOURCE_ATTRIBUTES``)."""
    metrics: bool | None
    """Whether calls are counted; true by default."""
    metrics_interval: float | None
    """How often that is sent; every minute by default."""
    traces: bool | None
    """Whether traces are recorded and handed on; true by default."""
    trace_ratio: float | None
    """How many of the traces that begin here are recorded, from 0 to 1, which is the default."""
    propagators: str | None
    """In which forms traces are handed on: "tracecontext" by default, "grpc-trace-bin", or both with a comma."""
    access_log: Literal["off", "errors", "all"] | None
    """Which calls of a server get a line in the log; none by default."""


class WebOptions(TypedDict, total=False):
    """Which pages may call by gRPC-Web, and what their browsers are told."""

    origins: Sequence[str]
    """Whose pages may call, such as "https://shop.example"; "*" lets all pages call. Without any, no page may."""
    allow_credentials: bool | None
    """Whether pages may send cookies and client certificates along; not together with the origin "*"."""
    allow_headers: Sequence[str] | None
    """Metadata that pages may send, besides what gRPC-Web needs."""
    expose_headers: Sequence[str] | None
    """Metadata of the response that pages may read, besides gRPC's own. Trailers can be read in any case."""
    max_age: float | None
    """How long a browser may remember that a page may call; 2 h by default, and 0 lets it ask every time."""


class ChannelOptions(Limits, total=False):
    """The keywords of a channel."""

    tls: Tls | None
    """TLS; plaintext without."""
    authority: str | None
    """What the server sees as ``:authority``; by default the target's host and port."""
    user_agent: str | None
    """Put in front of the engine's own ``user-agent``."""
    compression: Compression | None
    """Compresses the requests of calls that do not say otherwise."""
    load_balancing: str | None
    """Which of a service's addresses calls go to: "pick_first" by default, "round_robin", "least_request" or
    "weighted_round_robin"."""
    service_config: str | None
    """What the service's owner says about calling it, as JSON: timeouts, retries, load balancing."""
    bearer_token: str | TokenSource | None
    """Sent with every call that has no `authorization` of its own; over TLS alone. A function is asked for it: with the
    first call, and shortly before the last token ends. It runs on a thread of its own; what it awaits, on the asyncio
    loop where the channel was made. What it raises fails the calls that wait: :class:`RpcError` as it is, the rest as
    UNAVAILABLE."""
    bearer_token_file: str | None
    """The same from a file, which is read again as its token ends. A token wins over a file, and a file over a
    function."""
    name_ttl: float | None
    """How long a name that the system resolves holds."""
    idle_timeout: float | None
    """How long nobody may call before the connections are closed, until the next call; `inf` for ever."""
    arguments: dict[str, int | str] | None
    """Channel arguments of gRPC's C core, by their names there, such as "grpc.keepalive_time_ms"; they win over the
    other keywords. docs/channel.md lists them."""
    connect_timeout: float | None
    """Longest that one connection attempt may take."""
    backoff_first: float | None
    """The pause after the first failed attempt."""
    backoff_longest: float | None
    """The longest pause."""
    keepalive_interval: float | None
    """Silence after which the server is pinged; off by default."""
    keepalive_timeout: float | None
    """How long it may take to answer a ping."""
    keepalive_without_calls: bool | None
    """Ping also while there are no calls."""
    proxy: str | None
    """The URL of an HTTP proxy, or "" for none; by default as the environment says."""
    retries: bool | None
    """Whether calls are made again as the service config says; true by default."""
    health_checks: bool | None
    """Whether servers are asked for their health where the service config says so; true by default."""
    max_connections_per_subchannel: int | None
    """The most connections to one address that a service config gets."""
    dns_resolver: str | None
    """Who finds the addresses of the target's name: "system" by default, or "direct": DNS servers are asked, which say
    how long a name holds."""
    service_config_from_dns: bool | None
    """Whether DNS is asked for the target's service config too: text records of `_grpc_config.<name>`."""
    telemetry: TelemetryOptions | None
    """Records what the channel's calls do; nothing by default."""


class ServerOptions(Limits, total=False):
    """The keywords of a server."""

    tls: Tls | None
    """TLS; plaintext without."""
    jwt: Jwt | None
    """Which bearer tokens are accepted; calls need none without."""
    authorization_policy: str | None
    """Who may call what, as JSON in the form of gRFC A43; everybody may everything without."""
    authorization_policy_file: str | PathLike[str] | None
    """The same from a file, which is read again when it changes. The text wins."""
    max_running_calls: int | float | None
    """Calls that may run at once, over all connections; those beyond are UNAVAILABLE at once."""
    rate_limits: str | None
    """How often methods may be called, as JSON, such as
    ``[{"burst": 20, "perSecond": 10, "methods": ["/shop.v1.Orders/*"], "forEachClient": true}]``."""
    keepalive_interval: float | None
    """Silence after which a client is pinged."""
    keepalive_timeout: float | None
    """How long it may take to answer a ping."""
    keepalive_min_interval: float | None
    """How often clients may ping."""
    keepalive_permit_without_calls: bool | None
    """Clients may ping also while they have no calls."""
    max_connection_age: float | None
    """Age at which connections are told to go."""
    max_connection_age_grace: float | None
    """What calls get to finish then; for ever by default."""
    max_connection_idle: float | None
    """Ends connections that had no call for this long."""
    handshake_timeout: float | None
    """Longest for TLS and HTTP/2 of a new connection."""
    stall_timeout: float | None
    """How long a client may take nothing of an answer."""
    share_port: bool | None
    """Other processes may listen on the same port, if they say so too: for servers that fork."""
    drain_delay: float | None
    """How long a server that closes goes on serving after its health service has begun to say NOT_SERVING; a part of
    its grace."""
    health: bool | None
    """Serves ``grpc.health.v1.Health``, which tells what ``set_health`` has said."""
    reflection: bool | bytes | None
    """Serves reflection, of the services whose messages have protobuf's descriptors; or of what a serialized
    ``FileDescriptorSet`` describes."""
    channelz: bool | None
    """Serves ``grpc.channelz.v1.Channelz``, which tells of all channels and servers that are made from then on."""
    max_connections: int | float | None
    """Connections at once."""
    max_concurrent_streams: int | float | None
    """Calls that one connection may have open at once."""
    max_unfinished_request_bytes: int | None
    """What one connection may hold of request messages that are not whole yet."""
    telemetry: TelemetryOptions | None
    """Records what the server's calls do; nothing by default."""
    web: WebOptions | None
    """Browsers may call by gRPC-Web, on the same port; they may not without."""
