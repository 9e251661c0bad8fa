//! docs/migrating.md against the program and its manifests: which of upstream's series are not there, and which flags
//! stand in the way back.

use std::collections::BTreeSet;

use super::metrics;
use documents::markdown::Document;
use kit::repository::root;

/// What the page says that is not so, and what it does not say.
pub fn complaints(page: &Document) -> Vec<String> {
    let exposed: BTreeSet<String> = metrics::exposed().into_keys().chain(metrics::spelt()).collect();
    let mut complaints = Vec::new();
    let families = families(page);
    for family in FAMILIES {
        if !families.contains(family) {
            complaints.push(format!("nothing says that panels of {family} go empty"));
        }
    }
    for family in &families {
        let prefix = family.trim_end_matches('*');
        complaints.extend(
            exposed.iter().filter(|name| name.starts_with(prefix)).map(|name| format!("{name} is there")),
        );
    }
    let list = page.text.split("at flags that it does not know: ").nth(1).unwrap_or_default();
    let named = in_code(list.split(';').next().unwrap_or_default());
    if named != flags_of_ours() {
        complaints.push(format!("upstream refuses {:?}, and the page names {named:?}", flags_of_ours()));
    }
    complaints
}

/// The first column of the table about series that are missing.
fn families(page: &Document) -> BTreeSet<String> {
    let rows = page.rows();
    let rows = rows.iter().filter(|row| row.len() == 3 && row[0].starts_with('`'));
    rows.flat_map(|row| in_code(&row[0])).collect()
}

fn in_code(text: &str) -> BTreeSet<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The flags of the manifest's driver that the upstream driver lacks.
fn flags_of_ours() -> BTreeSet<String> {
    let manifest = std::fs::read_to_string(root().join("deploy/secrets-store-csi-driver.yaml"));
    let manifest = manifest.expect("the manifest is there");
    let given = manifest.lines().filter_map(|line| line.trim().strip_prefix("- --"));
    let names: BTreeSet<String> =
        given.filter_map(|flag| Some(format!("--{}", flag.split_once('=')?.0))).collect();
    assert!(UPSTREAM.iter().all(|flag| names.contains(*flag)), "{names:?}");
    names.into_iter().filter(|name| !UPSTREAM.contains(&name.as_str())).collect()
}

#[test]
fn a_flag_and_a_series_that_the_page_is_silent_about_are_found() {
    let page = Document::read("docs/migrating.md");
    for (text, by) in [
        ("`--health-addr`;", "`--health-address`;"),
        ("| `workqueue_*` |", "| `work_*` |"),
        ("| `go_*` |", "| `go_*`, `process_*` |"),
    ] {
        assert!(page.text.contains(text), "{text}");
        let changed = Document { name: page.name.clone(), text: page.text.replace(text, by) };
        assert!(!complaints(&changed).is_empty(), "{by}");
    }
}

/// What an upstream driver's dashboards are made of besides its own series.
const FAMILIES: [&str; 4] = ["controller_runtime_*", "go_*", "rest_client_*", "workqueue_*"];
/// Flags of the manifest that upstream's program 1.6 has.
const UPSTREAM: [&str; 9] = [
    "--additional-provider-volume-paths",
    "--enable-secret-rotation",
    "--endpoint",
    "--metrics-addr",
    "--nodeid",
    "--provider-health-check",
    "--provider-health-check-interval",
    "--provider-volume",
    "--rotation-poll-interval",
];
