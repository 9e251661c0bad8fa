//! Rust: installed from Debian where Debian has a new enough one, and otherwise asked for by a sentence that works.

use crate::machine::Machine;

const MINIMUM: &str = env!("CARGO_PKG_RUST_VERSION");

/// Debian's names for what is newer than any minimum, and for what is older.
const NEW: &str = "999.0.0+dfsg1-1~deb12u2";
const OLD: &str = "1.63.0+dfsg1-2";

const BUILT: [&str; 3] = ["c++", "cmake", "make"];

/// A Debian with all but Rust, which offers it by these versions: at the release, and for browsers.
fn debian(release: &str, browsers: &str) -> Machine {
    let offers = [("rustc", release), ("cargo", release), ("rustc-web", browsers), ("cargo-web", browsers)];
    Machine::debian(&offers)
        .with_version(&BUILT, "1")
        .package("rustc", "rustc", "999.0.0")
        .package("cargo", "cargo", "999.0.0")
        .package("rustc-web", "rustc", "999.0.0")
        .package("cargo-web", "cargo", "999.0.0")
}

#[test]
fn where_all_is_there_nothing_is_said_and_nothing_is_done() {
    let machine = debian(OLD, NEW).with_version(&["rustc", "cargo"], MINIMUM);
    machine.ensure(&["build"]).assert_well(&[]);
    assert_eq!((machine.updates(), machine.installed().len()), (0, 0));
}

#[test]
fn a_missing_compiler_is_installed_from_the_packages_that_are_new_enough() {
    let machine = debian(OLD, NEW);
    machine.ensure(&["build"]).assert_well(&["installing rustc-web cargo-web ca-certificates"]);
    assert_eq!(machine.installed(), ["rustc-web", "cargo-web", "ca-certificates"]);
}

#[test]
fn the_release_s_own_compiler_comes_first() {
    let machine = debian(NEW, NEW);
    machine.ensure(&["build"]).assert_well(&["installing rustc cargo ca-certificates"]);
}

#[test]
fn all_that_a_fresh_debian_lacks_comes_by_one_command() {
    let offers = [("rustc-web", NEW), ("cargo-web", NEW)];
    let machine = Machine::debian(&offers)
        .package("rustc-web", "rustc", "999.0.0")
        .package("cargo-web", "cargo", "999.0.0")
        .package("g++", "c++", "12")
        .package("cmake", "cmake", "3")
        .with_version(&["make"], "4");
    let said = ["installing rustc-web cargo-web ca-certificates", "installing g++ cmake"];
    machine.ensure(&["build"]).assert_well(&said);
    assert_eq!(machine.updates(), 1);
    machine.ensure(&["build"]).assert_well(&[]);
}

#[test]
fn an_old_compiler_of_a_package_gives_way_to_a_newer_one() {
    let machine = debian(OLD, NEW).with_version(&["rustc", "cargo"], "1.63.0").owned_by("rustc");
    machine.ensure(&["build"]).assert_well(&["installing rustc-web cargo-web ca-certificates"]);
}

#[test]
fn a_cargo_that_is_older_than_its_compiler_does_not_count() {
    let machine = debian(OLD, NEW)
        .with_version(&["rustc"], "999.0.0")
        .with_version(&["cargo"], "0.66.0")
        .owned_by("cargo");
    machine.ensure(&["build"]).assert_well(&["installing rustc-web cargo-web ca-certificates"]);
}

#[test]
fn a_compiler_without_its_cargo_is_not_installed() {
    let machine = Machine::debian(&[("rustc", NEW), ("rustc-web", "(none)"), ("cargo-web", NEW)]);
    machine.ensure(&["build"]).assert_fails(&[&format!(
        "missing: Rust {MINIMUM} or newer; apt offers none here: install it with rustup (https://rustup.rs)"
    )]);
    assert_eq!(machine.installed().len(), 0);
}

#[test]
fn without_its_security_updates_debian_12_is_too_old_and_is_told_both_ways_out() {
    let machine = debian(OLD, "1.85.0+dfsg3-1~deb12u3").suites("bookworm", &["bookworm", "bookworm-updates"]);
    machine.ensure(&["build"]).assert_fails(&[&format!(
        "missing: Rust {MINIMUM} or newer; apt offers 1.85.0 here: add the suite bookworm-security to apt's sources, \
         which has a newer one, or install it with rustup (https://rustup.rs)"
    )]);
    assert_eq!(machine.installed().len(), 0);
}

#[test]
fn where_every_package_is_too_old_rustup_is_named() {
    for suites in [["trixie", "trixie-updates"], ["bookworm", "bookworm-security"]] {
        let machine = debian("1.85.1+dfsg1-1+deb13u1", OLD).suites(suites[0], &suites);
        machine.ensure(&["build"]).assert_fails(&[&format!(
            "missing: Rust {MINIMUM} or newer; apt offers 1.85.1 here: install it with rustup (https://rustup.rs)"
        )]);
    }
}

#[test]
fn where_there_is_no_apt_rustup_is_named() {
    Machine::new().ensure(&["build"]).assert_fails(&[&format!(
        "missing: Rust {MINIMUM} or newer; install it with rustup (https://rustup.rs)"
    )]);
}

#[test]
fn who_is_not_root_is_told_the_packages_and_the_way_without_root() {
    let machine = debian(OLD, NEW).of_a_user();
    machine.ensure(&["build"]).assert_fails(&[&format!(
        "missing: Rust {MINIMUM} or newer; install it as root (apt-get install rustc-web cargo-web), or without root \
         with rustup (https://rustup.rs)"
    )]);
    assert_eq!((machine.updates(), machine.installed().len()), (0, 0));
}

#[test]
fn an_old_compiler_of_rustup_s_is_renewed_by_rustup_and_no_package_is_laid_beside_it() {
    let machine = debian(OLD, NEW).with_version(&["rustc", "cargo", "rustup"], "1.63.0");
    machine.ensure(&["build"]).assert_fails(&[&format!(
        "missing: Rust {MINIMUM} or newer, this is 1.63.0 ({}); run: rustup update stable && rustup default stable",
        machine.path_of("rustc")
    )]);
    assert_eq!(machine.installed().len(), 0);
}

#[test]
fn a_rustup_without_a_compiler_is_told_how_to_get_one() {
    let broken = "echo 'error: rustup could not choose a version of rustc to run' >&2; exit 1";
    let machine =
        debian(OLD, NEW).with("rustc", broken).with("cargo", broken).with_version(&["rustup"], "1.27.1");
    machine.ensure(&["build"]).assert_fails(&[&format!(
        "missing: Rust {MINIMUM} or newer, this is none that works ({}); run: rustup update stable && rustup default \
         stable",
        machine.path_of("rustc")
    )]);
}

#[test]
fn an_old_compiler_that_somebody_put_there_is_named_and_left_alone() {
    let machine = debian(OLD, NEW).with_version(&["rustc", "cargo"], "1.63.0").owned_by_nobody();
    machine.ensure(&["build"]).assert_fails(&[&format!(
        "missing: Rust {MINIMUM} or newer, this is 1.63.0 ({}), which is of no package; remove it, and install it with \
         rustup (https://rustup.rs)",
        machine.path_of("rustc")
    )]);
    assert_eq!(machine.installed().len(), 0);
}

#[test]
fn a_new_compiler_that_is_hidden_by_an_old_one_is_no_success() {
    // The package does not bring the cargo that comes first on PATH.
    let machine = Machine::debian(&[("rustc-web", NEW), ("cargo-web", NEW)])
        .package("rustc-web", "rustc", "999.0.0")
        .with_version(&["rustc", "cargo"], "1.63.0")
        .owned_by("rustc");
    let (rustc, cargo) = (machine.path_of("rustc"), machine.path_of("cargo"));
    machine.ensure(&["build"]).assert_fails(&[
        "installing rustc-web cargo-web ca-certificates",
        &format!(
            "missing: Rust {MINIMUM} or newer, this is 1.63.0 ({rustc}); rustc-web is installed, but on PATH come first: \
             {rustc} and {cargo}"
        ),
    ]);
}

#[test]
fn what_apt_says_when_it_fails_is_shown_before_the_way_out() {
    let machine =
        debian(OLD, NEW).install_fails("E: You don't have enough free space in /var/cache/apt/archives/.");
    machine.ensure(&["build"]).assert_fails(&[
        "installing rustc-web cargo-web ca-certificates",
        "E: You don't have enough free space in /var/cache/apt/archives/.",
        &format!(
            "missing: Rust {MINIMUM} or newer; apt-get could not install it, as it says above: mend that, or install it \
             with rustup (https://rustup.rs)"
        ),
    ]);
}

#[test]
fn the_formatter_and_the_lints_come_from_where_the_compiler_came_from() {
    let cargo = r#"[ "$1" = --version ] && echo cargo 999.0.0"#;
    for (of, packages) in [("cargo", "rustfmt rust-clippy"), ("cargo-web", "rustfmt-web rust-web-clippy")] {
        let machine = debian(OLD, NEW).with("cargo", cargo).owned_by(of).with_version(&["shellcheck"], "1");
        machine.ensure(&["lint"]).assert_well(&[&format!("installing {packages}")]);
        let user = Machine::new().of_a_user().with("cargo", cargo).owned_by(of);
        user.ensure(&["lint"]).assert_fails(&[&format!(
            "missing: cargo fmt and cargo clippy; install them as root (apt-get install {packages})"
        )]);
    }
    // One of the two is not enough.
    let half = r#"[ "$1" = --version ] || [ "$1" = clippy ] && echo cargo 999.0.0"#;
    let machine = debian(OLD, NEW).with("cargo", half).owned_by_nobody();
    let said = "missing: cargo fmt and cargo clippy; run: rustup component add rustfmt clippy";
    machine.ensure(&["lint"]).assert_fails(&[said]);
    assert_eq!(machine.installed().len(), 0);
}
