//! The `spanwire` command.
//!
//! Exit codes: 0 done; 1 it failed, or `--check` found a difference; 2 it was called wrongly.

mod config;
mod generate;
mod output;
mod sources;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// gRPC from the command line.
#[derive(Debug, Parser)]
#[command(name = "spanwire", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// One variant and one module for each subcommand, whose arguments say what it does.
#[derive(Debug, Subcommand)]
enum Command {
    Gen(generate::Arguments),
}

/// Why a command ends without success.
#[derive(Debug)]
enum Failure {
    /// It was called wrongly: exit code 2.
    Usage(String),
    /// It could not be done: exit code 1.
    Failed(String),
}

impl From<spanwire_codegen::Error> for Failure {
    fn from(error: spanwire_codegen::Error) -> Self {
        Failure::Failed(error.to_string())
    }
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Gen(arguments) => generate::run(arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Failed(message)) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
        Err(Failure::Usage(message)) => {
            eprintln!("error: {message}\n\nFor more information, try 'spanwire --help'.");
            ExitCode::from(2)
        }
    }
}
