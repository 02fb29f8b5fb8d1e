//! See `spanwire_fuzz::server`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| spanwire_fuzz::server::run(data));
