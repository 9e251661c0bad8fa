//! How the tested driver was built. What is said of the static one alone is in tests/static.

use kit::driver::program;
use kit::elf::Elf;

#[test]
fn it_is_built_as_a_program_that_runs_as_root_on_every_node_should_be() {
    let elf = Elf::of(&program(DRIVER));
    elf.assert_is_loaded_anywhere(DRIVER);
    elf.assert_binds_everything_first(DRIVER);
    elf.assert_is_writable_or_executable(DRIVER);
    elf.assert_names_no_directory(DRIVER);
}

#[test]
fn arithmetic_is_checked_in_the_program_itself() {
    let bytes = std::fs::read(program(DRIVER)).unwrap();
    for operation in ["add", "subtract", "multiply"] {
        // What the compiler links where such a check is.
        let text = format!("attempt to {operation} with overflow");
        let is_there = bytes.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(is_there, "nothing in the driver could say: {text}");
    }
}

const DRIVER: &str = "secrets-store-csi-driver";
