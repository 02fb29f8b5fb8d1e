//! Generates the messages and the server of grpc.testing.TestService.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let proto = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../proto");
    println!("cargo::rerun-if-changed={proto}/grpc/testing");
    let descriptors = protox::compile([format!("{proto}/grpc/testing/test.proto")], [proto])?;
    tonic_prost_build::configure().build_client(false).compile_fds(descriptors)?;
    Ok(())
}
