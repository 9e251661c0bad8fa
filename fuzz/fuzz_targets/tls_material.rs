#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| secrets_store_csi_driver_fuzz::tls_material::check(bytes));
