//! What a build is made of and made with: no `unsafe` in any package of the tree, overflow checks in what ships, and
//! the crates that are kept out.

use std::path::{Path, PathBuf};

use super::source::{Kind, words};
use super::{assert_none, manifest};

/// Packages that cannot forbid it by a lint, and why. They have none all the same: see the test after this one.
const WITHOUT_LINT: [(&str, &str); 1] =
    [("fuzz/Cargo.toml", "a fuzzer's entry is an exported function, which the lint takes for unsafe code")];

#[test]
fn every_package_of_the_tree_forbids_unsafe_code() {
    let packages = files("Cargo.toml");
    assert!(packages.len() > 1, "{packages:?}");
    let forbids = |file: &str| {
        let manifest = read(file);
        let says = |heading, text| section(&manifest, heading).lines().any(|line| line == text);
        says("[lints]", "workspace = true") || says("[lints.rust]", "unsafe_code = \"forbid\"")
    };
    let excused = |file: &str| WITHOUT_LINT.iter().any(|(excused, _)| *excused == file);
    let bad = packages.iter().filter(|file| forbids(file) == excused(file));
    assert_none(bad.map(|file| format!("{file}: forbids it or is excused, one of both")).collect());
}

#[test]
fn no_file_of_any_language_of_ours_is_unsafe_tests_and_tools_included() {
    let sources = files(".rs");
    assert!(sources.len() > 300, "{}", sources.len());
    let of = |file: &String| -> Vec<String> {
        let named = |kind: &Kind| *kind == Kind::Name("unsafe".to_owned());
        let found = words(&read(file)).into_iter().filter(|word| named(&word.kind));
        found.map(|word| format!("{file}:{}: unsafe", word.line)).collect()
    };
    assert_none(sources.iter().flat_map(of).collect());
    let mut seen = words("unsafe fn f() { \"unsafe\" } // unsafe").into_iter().map(|word| word.kind);
    assert_eq!(seen.next(), Some(Kind::Name("unsafe".to_owned())), "this is how it looks");
    assert!(!seen.any(|kind| kind == Kind::Name("unsafe".to_owned())), "in code alone");
}

#[test]
fn what_ships_checks_its_arithmetic() {
    let manifest = manifest();
    assert!(section(&manifest, "[profile.release]").contains("\noverflow-checks = true\n"));
    let shipped = section(&manifest, "[profile.static]");
    assert!(
        shipped.contains("\ninherits = \"release\"\n") && !shipped.contains("overflow-checks"),
        "{shipped}"
    );
    let packages = section(&manifest, "[profile.static.package]");
    for package in ["csi-driver", "operator", "reference-provider"] {
        let own = packages.lines().find(|line| line.starts_with(&format!("secrets-store-{package} = ")));
        assert!(own.is_some_and(|own| own.contains("overflow-checks = true")), "{package}: {packages}");
    }
    // A crate without them would be one that computes with what a peer sent.
    assert!(!packages.contains("overflow-checks = false"));
    let others = manifest.matches("[profile.static.").count() - 1;
    assert!(!manifest.contains("[profile.release.") && others == 0);
}

/// The build under test is the one that ships, but for its linker.
#[test]
#[should_panic(expected = "attempt to add with overflow")]
fn a_sum_that_overflows_panics() {
    let sum = std::hint::black_box(u8::MAX) + std::hint::black_box(1);
    unreachable!("{sum}");
}

/// Crates with an advisory against every release, that nobody keeps, or that would bring a second way of doing things;
/// and the first release of those that we use from which on nothing is known against them.
const KEPT_OUT: [&str; 20] = [
    "async-std",
    "aws-lc-rs",
    "aws-lc-sys",
    "h2",
    "handlebars",
    "hyper",
    "minijinja",
    "native-tls",
    "openssl",
    "openssl-sys",
    "rustls-native-certs",
    "rustls-pemfile",
    "serde_yaml",
    "serde_yml",
    "tera",
    "tokio",
    "tonic",
    "trust-dns-resolver",
    "webpki-roots",
    "yaml-rust",
];
const AT_LEAST: [(&str, [u64; 3]); 5] = [
    ("bytes", [1, 11, 1]),
    ("protobuf", [3, 7, 2]),
    ("ring", [0, 17, 12]),
    ("rustls", [0, 23, 18]),
    ("rustls-webpki", [0, 103, 13]),
];

#[test]
fn crates_with_known_weaknesses_are_in_no_lock_file_and_cannot_come_back() {
    let rules = read("deny.toml");
    for file in files("Cargo.lock") {
        let packages = locked(&read(&file));
        assert!(packages.len() > 5, "{file}: {packages:?}");
        // The lock files of tools are theirs, as long as nobody can be attacked through them.
        let is_ours = file == "Cargo.lock";
        for name in KEPT_OUT.iter().filter(|_| is_ours) {
            assert!(!packages.iter().any(|(found, _)| found == name), "{file}: {name}");
            assert!(
                rules.contains(&format!("{{ crate = \"{name}\", ")),
                "deny.toml does not keep out {name}"
            );
        }
        for (name, least) in AT_LEAST {
            for (_, version) in packages.iter().filter(|(found, _)| found == name) {
                assert!(*version >= least, "{file}: {name} {version:?} is older than {least:?}");
            }
            let [major, minor, patch] = least;
            let rule = format!("{{ crate = \"{name}:<{major}.{minor}.{patch}\", ");
            assert!(rules.contains(&rule), "deny.toml does not keep out old releases of {name}");
        }
    }
    assert_eq!(locked("[[package]]\nname = \"a\"\nversion = \"1.2.3-x+y\"\n"), [("a".to_owned(), [1, 2, 3])]);
}

/// Name and version of every package of a lock file.
fn locked(text: &str) -> Vec<(String, [u64; 3])> {
    let quoted = |line: &str, key: &str| {
        line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"').map(str::to_owned)
    };
    let mut packages = Vec::new();
    for package in text.split("[[package]]").skip(1) {
        let name = package.lines().find_map(|line| quoted(line, "name")).unwrap();
        let version = package.lines().find_map(|line| quoted(line, "version")).unwrap();
        let version = version.split(['-', '+']).next().unwrap_or_default();
        let numbers: Vec<u64> = version.split('.').map(|number| number.parse().unwrap()).collect();
        packages.push((name, numbers.try_into().unwrap()));
    }
    packages
}

/// What stands below a heading of a manifest.
fn section(text: &str, heading: &str) -> String {
    let Some((_, below)) = text.split_once(&format!("\n{heading}\n")) else { return String::new() };
    let end = below.find("\n[").unwrap_or(below.len());
    format!("\n{}\n", &below[..end])
}

/// Every file of the repository whose name ends so, but for what was built.
pub fn files(ending: &str) -> Vec<String> {
    let root = Path::new(kit::repository::ROOT);
    let mut found = Vec::new();
    let mut pending: Vec<PathBuf> = vec![root.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !path.is_symlink() {
                if !name.starts_with('.') && name != "target" {
                    pending.push(path);
                }
            } else if name.ends_with(ending) {
                found.push(path.strip_prefix(root).unwrap().to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}

pub fn read(file: &str) -> String {
    std::fs::read_to_string(Path::new(kit::repository::ROOT).join(file)).unwrap()
}
