//! The driver and its doctor: see `driver.rs` and `doctor/mod.rs`.
fn main() -> std::process::ExitCode {
    secrets_store_csi_driver::doctor::main().unwrap_or_else(secrets_store_csi_driver::driver::main)
}
