//! See `spanwire_fuzz::timeout`.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| spanwire_fuzz::timeout::run(data));

#[cfg(not(fuzzing))]
fn main() {
    spanwire_fuzz::replay(spanwire_fuzz::timeout::run);
}
