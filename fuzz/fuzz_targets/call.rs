//! See `spanwire_fuzz::call`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| spanwire_fuzz::call::run(data));
