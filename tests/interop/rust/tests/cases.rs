//! Every case of the client against the server of the same crate, in one process. What other implementations
//! say of both is the business of `tests/interop/run.py`.

use clap::Parser;
use spanwire::Server;
use spanwire_interop::cases;
use spanwire_interop::flags::ClientFlags;
use spanwire_interop::orca::{Load, LoadService};
use spanwire_interop::outcome::Failure;
use spanwire_interop::server::InteropService;
use spanwire_interop::session::Session;
use spanwire_interop::testing::TestServiceServer;

const CASES: [&str; 25] = [
    "empty_unary",
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
];

async fn start_server() -> u16 {
    let load = Load::default();
    let server = Server::builder()
        .service(TestServiceServer::new(InteropService::new(load.clone())))
        .service(LoadService(load))
        .bind("127.0.0.1:0")
        .await
        .expect("a free port can be bound");
    let port = server.port().expect("TCP has ports");
    tokio::spawn(server.run());
    port
}

fn session(port: u16, case: &str) -> Session {
    let port = format!("--server_port={port}");
    let case = format!("--test_case={case}");
    Session { flags: ClientFlags::parse_from(["client", &port, &case, "--use_tls=false"]) }
}

#[tokio::test]
async fn every_case_passes_against_our_own_server() {
    let port = start_server().await;
    for case in CASES {
        if let Err(failure) = cases::run(case, &session(port, case)).await {
            panic!("{case}: {failure}");
        }
    }
}

#[tokio::test]
async fn a_case_of_a_misbehaving_server_fails_against_a_right_one() {
    let port = start_server().await;
    let outcome = cases::run("rst_after_data", &session(port, "rst_after_data")).await;
    assert!(matches!(outcome, Err(Failure::Failed(_))), "{outcome:?}");
}

#[tokio::test]
async fn a_case_without_an_implementation_is_not_offered() {
    for case in ["cacheable_unary", "max_concurrent_streams_connection_scaling", "no_such_case"] {
        // Nothing listens there, and nothing is called.
        let outcome = cases::run(case, &session(1, case)).await;
        assert!(matches!(outcome, Err(Failure::NotOffered(_))), "{case}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_soak_with_too_slow_calls_fails() {
    let port = format!("--server_port={}", start_server().await);
    let flags = [
        "client",
        &port,
        "--test_case=rpc_soak",
        "--soak_iterations=2",
        "--soak_per_iteration_max_acceptable_latency_ms=0",
    ];
    let session = Session { flags: ClientFlags::parse_from(flags) };
    let outcome = cases::run("rpc_soak", &session).await;
    assert!(matches!(outcome, Err(Failure::Failed(_))), "{outcome:?}");
}
