//! Generates the messages and the service of `bench.v1`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let proto = "../../proto";
    spanwire_codegen::build().include(proto).bytes(".").compile(&[format!("{proto}/bench/v1/echo.proto")])?;
    Ok(())
}
