//! The driver: see `driver.rs`.
fn main() -> std::process::ExitCode {
    secrets_store_csi_driver::driver::main()
}
