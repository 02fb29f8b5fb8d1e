//! See `spanwire_fuzz::ffi`.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| spanwire_fuzz::ffi::run(data));

#[cfg(not(fuzzing))]
fn main() {
    spanwire_fuzz::replay(spanwire_fuzz::ffi::run);
}
