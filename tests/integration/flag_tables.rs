//! The tables of flags of the three programs.

use std::collections::BTreeSet;

use base::cli::{self, Flag};
use config::DRIVER_FLAGS;
use operator::command_line::OPERATOR_FLAGS;
use reference_provider::command_line::PROVIDER_FLAGS;

fn check_table<F: Default>(program: &str, table: &[Flag<F>]) {
    let names: BTreeSet<_> = table.iter().map(|flag| flag.name).collect();
    assert_eq!(names.len(), table.len(), "{program}: a flag appears twice");
    for flag in table {
        let name = flag.name;
        assert!(!name.is_empty() && !name.starts_with('-') && !name.contains('='), "{name}");
        assert!(!["h", "help"].contains(&name), "{name} is taken by help");
        let help = flag.help;
        assert!(!help.is_empty() && !help.ends_with('.') && !help.contains('\n'), "--{name}: {help:?}");
    }
    if let Err(error) = cli::parse(program, table, []) {
        panic!("{program}: a default cannot be read: {error}");
    }
}

#[test]
fn every_flag_has_its_own_name_a_help_text_and_a_default_that_can_be_read() {
    check_table("driver", DRIVER_FLAGS);
    check_table("provider", PROVIDER_FLAGS);
    check_table("operator", OPERATOR_FLAGS);
}
