//! See `src/accept_encoding.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| plimsoll_fuzz::accept_encoding::run(data));
