//! See `spanwire_fuzz::compressed`.
#![no_main]

#[global_allocator]
static MEMORY: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;

libfuzzer_sys::fuzz_target!(|data: &[u8]| spanwire_fuzz::compressed::run(data));
