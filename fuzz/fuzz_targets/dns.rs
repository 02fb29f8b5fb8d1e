//! See `spanwire_fuzz::dns`.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| spanwire_fuzz::dns::run(data));

#[cfg(not(fuzzing))]
fn main() {
    spanwire_fuzz::replay(spanwire_fuzz::dns::run);
}
