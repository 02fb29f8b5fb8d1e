//! The official command lines: underscores in names, and booleans written out (`--use_tls=true`).

use std::path::PathBuf;

use clap::{ArgAction, Parser};

/// The flags of an interop client.
#[derive(Clone, Debug, Parser)]
#[command(name = "spanwire-interop-client", version, rename_all = "snake_case")]
pub struct ClientFlags {
    /// The host to connect to.
    #[arg(long, default_value = "127.0.0.1")]
    pub server_host: String,
    /// The port to connect to.
    #[arg(long)]
    pub server_port: u16,
    /// The host to claim to be connecting to, in TLS and in `:authority`.
    #[arg(long, default_value = "")]
    pub server_host_override: String,
    /// The case to run.
    #[arg(long)]
    pub test_case: String,
    /// Whether the connection uses TLS.
    #[arg(long, action = ArgAction::Set, default_value_t = false, num_args = 0..=1, default_missing_value = "true")]
    pub use_tls: bool,
    /// The authorities to trust instead of the system's (PEM).
    #[arg(long)]
    pub custom_ca_file: Option<PathBuf>,
    /// What holds for the two soak cases.
    #[command(flatten)]
    pub soak: SoakFlags,
}

/// The flags of `rpc_soak` and `channel_soak`.
#[derive(Clone, Debug, Parser)]
#[command(rename_all = "snake_case")]
pub struct SoakFlags {
    /// Calls in all.
    #[arg(long, default_value_t = 10)]
    pub soak_iterations: usize,
    /// Calls that may fail or be too slow.
    #[arg(long, default_value_t = 0)]
    pub soak_max_failures: usize,
    /// What one call may take, in milliseconds.
    #[arg(long, default_value_t = 1000)]
    pub soak_per_iteration_max_acceptable_latency_ms: u64,
    /// What all calls may take, in seconds.
    #[arg(long, default_value_t = 10)]
    pub soak_overall_timeout_seconds: u64,
    /// The least time from the start of one call to the start of the next, in milliseconds.
    #[arg(long, default_value_t = 0)]
    pub soak_min_time_ms_between_rpcs: u64,
    /// Payload bytes of a request.
    #[arg(long, default_value_t = crate::cases::LARGE_REQUEST)]
    pub soak_request_size: usize,
    /// Payload bytes of a response.
    #[arg(long, default_value_t = crate::cases::LARGE_RESPONSE)]
    pub soak_response_size: i32,
    /// Workers at once; they share the iterations.
    #[arg(long, default_value_t = 1)]
    pub soak_num_threads: usize,
}

/// The flags of an interop server.
#[derive(Clone, Debug, Parser)]
#[command(name = "spanwire-interop-server", version, rename_all = "snake_case")]
pub struct ServerFlags {
    /// The port to listen on.
    #[arg(long)]
    pub port: u16,
    /// The address to listen on. The official programs listen on all of them, which is not the default here.
    #[arg(long, default_value = "127.0.0.1")]
    pub bind_address: String,
    /// Whether connections use TLS.
    #[arg(long, action = ArgAction::Set, default_value_t = false, num_args = 0..=1, default_missing_value = "true")]
    pub use_tls: bool,
    /// The certificate chain (PEM).
    #[arg(long)]
    pub tls_cert_file: Option<PathBuf>,
    /// The private key (PEM).
    #[arg(long)]
    pub tls_key_file: Option<PathBuf>,
}
