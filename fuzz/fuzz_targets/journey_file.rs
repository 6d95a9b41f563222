//! See `src/journey_file.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| plimsoll_fuzz::journey_file::run(data));
