//! The operator: see `operator/mod.rs`.
use secrets_store_csi_driver::{operator, panics};

fn main() -> std::process::ExitCode {
    panics::end_the_process();
    operator::main()
}
