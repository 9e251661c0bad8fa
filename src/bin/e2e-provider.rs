//! The reference provider: see `reference_provider/mod.rs`.
fn main() -> std::process::ExitCode {
    secrets_store_csi_driver::reference_provider::main()
}
