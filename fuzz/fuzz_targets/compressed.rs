//! See `spanwire_fuzz::compressed`.
#![cfg_attr(fuzzing, no_main)]

#[global_allocator]
static MEMORY: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| spanwire_fuzz::compressed::run(data));

#[cfg(not(fuzzing))]
fn main() {
    spanwire_fuzz::replay(spanwire_fuzz::compressed::run);
}
