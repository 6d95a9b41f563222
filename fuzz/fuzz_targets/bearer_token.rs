//! See `src/bearer_token.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| plimsoll_fuzz::bearer_token::run(data));
