#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| everstep_fuzz::checks::url(input));
