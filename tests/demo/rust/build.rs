//! Generates the messages and the service of the demo.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let proto = "../../../proto";
    spanwire_codegen::build().include(proto).compile(&[format!("{proto}/spanwire/demo/v1/zones.proto")])?;
    Ok(())
}
