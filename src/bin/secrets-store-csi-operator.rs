//! The operator: see `operator/mod.rs`.
fn main() -> std::process::ExitCode {
    secrets_store_csi_driver::operator::main()
}
