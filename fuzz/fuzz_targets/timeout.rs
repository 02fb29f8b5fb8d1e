//! See `spanwire_fuzz::timeout`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| spanwire_fuzz::timeout::run(data));
