//! See `src/otlp.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| plimsoll_fuzz::otlp::metrics_json(data));
