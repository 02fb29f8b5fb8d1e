//! The `spanwire` command as a library, for programs that offer it under their own name.
//!
//! Exit codes: 0 done; 1 it failed, or `--check` found a difference; 2 it was called wrongly.

mod config;
mod generate;

use std::ffi::OsString;
use std::io::Write;

use clap::{Parser, Subcommand};

/// gRPC from the command line.
#[derive(Debug, Parser)]
#[command(
    name = "spanwire",
    bin_name = "spanwire",
    version,
    arg_required_else_help = true,
    no_binary_name = true
)]
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

/// Runs the command with these arguments, the name of the program not among them, and returns its exit code. What it
/// has to say goes to `stdout` and `stderr`.
///
/// Paths are relative to the current folder of the process; nothing else of it is used but the variables `PATH` and
/// `PROTOC`, and nothing of it is changed.
pub fn run<I>(arguments: I, stdout: &mut dyn Write, stderr: &mut dyn Write) -> u8
where
    I: IntoIterator,
    I::Item: Into<OsString> + Clone,
{
    let command = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli.command,
        Err(error) => {
            let text = error.render();
            // Nobody is left to tell that this could not be written.
            let _ = if error.use_stderr() { write!(stderr, "{text}") } else { write!(stdout, "{text}") };
            return u8::try_from(error.exit_code()).unwrap_or(2);
        }
    };
    let result = match command {
        Command::Gen(arguments) => generate::run(arguments, stdout),
    };
    let (code, message) = match result {
        Ok(()) => return 0,
        Err(Failure::Failed(message)) => (1, message),
        Err(Failure::Usage(message)) => {
            (2, format!("error: {message}\n\nFor more information, try 'spanwire --help'."))
        }
    };
    let _ = writeln!(stderr, "{message}");
    code
}
