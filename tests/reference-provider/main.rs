//! The reference provider: see `lib.rs`.
fn main() -> std::process::ExitCode {
    reference_provider::main()
}
