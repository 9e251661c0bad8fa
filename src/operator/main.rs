//! The operator: see `lib.rs`.
fn main() -> std::process::ExitCode {
    operator::main()
}
