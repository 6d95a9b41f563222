//! See `src/request_path_and_headers.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| plimsoll_fuzz::request_path_and_headers::run(data));
