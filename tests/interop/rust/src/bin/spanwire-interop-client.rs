//! Runs one official interop case against a server: exit code 0 pass, 1 fail, 77 not offered.

use std::process::ExitCode;

use clap::Parser;
use spanwire_interop::cases;
use spanwire_interop::flags::ClientFlags;
use spanwire_interop::outcome::Failure;
use spanwire_interop::session::Session;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let session = Session { flags: ClientFlags::parse() };
    let case = &session.flags.test_case;
    match cases::run(case, &session).await {
        Ok(()) => {
            println!("{case}: pass");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("{case}: {failure}");
            match failure {
                Failure::NotOffered(_) => ExitCode::from(spanwire_interop::NOT_OFFERED_EXIT),
                Failure::Failed(_) => ExitCode::FAILURE,
            }
        }
    }
}
