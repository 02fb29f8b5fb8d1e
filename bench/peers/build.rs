//! Generates the messages and the service of `bench.v1` for tonic; protox stands in for protoc.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=../../proto/bench/v1/echo.proto");
    let files = protox::compile(["bench/v1/echo.proto"], ["../../proto"])?;
    tonic_prost_build::configure().bytes(".").compile_fds(files)?;
    Ok(())
}
