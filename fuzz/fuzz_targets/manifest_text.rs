//! See `src/manifest_text.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| plimsoll_fuzz::manifest_text::run(data));
