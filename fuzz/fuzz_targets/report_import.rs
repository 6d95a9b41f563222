//! See `src/report_import.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| plimsoll_fuzz::report_import::run(data));
