#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wmbus::invariants::explanation(bytes));
