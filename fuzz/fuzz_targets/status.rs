//! See `spanwire_fuzz::status`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| spanwire_fuzz::status::run(data));
