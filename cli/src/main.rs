//! The `spanwire` command.

use std::io;
use std::process::ExitCode;

fn main() -> ExitCode {
    spanwire_cli::run(std::env::args_os().skip(1), &mut io::stdout(), &mut io::stderr()).into()
}
