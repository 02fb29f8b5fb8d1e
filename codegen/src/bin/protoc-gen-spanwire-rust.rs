//! The plugin for `protoc` and buf: `protoc --spanwire-rust_out=src/generated …`.

use std::io::{Read, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(argument) = std::env::args().nth(1) {
        return match argument.as_str() {
            "--version" => {
                println!("protoc-gen-spanwire-rust {}", env!("CARGO_PKG_VERSION"));
                ExitCode::SUCCESS
            }
            _ => {
                eprintln!("protoc-gen-spanwire-rust is called by protoc or buf and takes no arguments");
                ExitCode::from(2)
            }
        };
    }
    let mut request = Vec::new();
    let answer = std::io::stdin()
        .read_to_end(&mut request)
        .map_err(|error| error.to_string())
        .and_then(|_| spanwire_codegen::plugin::run("rust", &request).map_err(|error| error.to_string()))
        .and_then(|response| std::io::stdout().write_all(&response).map_err(|error| error.to_string()));
    match answer {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("protoc-gen-spanwire-rust: {error}");
            ExitCode::FAILURE
        }
    }
}
