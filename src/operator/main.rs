//! The operator: see `lib.rs`.
use base::panics;

fn main() -> std::process::ExitCode {
    panics::end_the_process();
    operator::main()
}
