#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| shop_common::fuzzing::traceparent(data));
