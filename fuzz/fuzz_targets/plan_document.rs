//! See `src/plan_document.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| plimsoll_fuzz::plan_document::run(data));
