//! See `src/jwks_document.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| plimsoll_fuzz::jwks_document::run(data));
