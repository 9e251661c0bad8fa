//! The reference provider: see `reference_provider/mod.rs`.
use secrets_store_csi_driver::{panics, reference_provider};

fn main() -> std::process::ExitCode {
    panics::end_the_process();
    reference_provider::main()
}
