# shellcheck shell=sh
# For ensure-tools.sh: the compiler. Debian has it twice: what was current at the release, and for the sake of browsers
# a newer one, whose packages end in -web. Debian 12 has the newer one among its security updates alone.

rustup_site=https://rustup.rs

# rust_version: the lower one of rustc's and cargo's; nothing when one of them is not there or does not run.
rust_version() {
    compiler=$(rustc --version 2>/dev/null | cut -d ' ' -f 2) || compiler=
    manager=$(cargo --version 2>/dev/null | cut -d ' ' -f 2) || manager=
    if [ -n "$compiler" ] && [ -n "$manager" ]; then
        lowest "$compiler" "$manager"
    fi
}

# offered_rust SUFFIX: the version of a pair of Debian's packages.
offered_rust() {
    compiler=$(offered "rustc$1")
    manager=$(offered "cargo$1")
    if [ -n "$compiler" ] && [ -n "$manager" ]; then
        lowest "$compiler" "$manager"
    fi
}

need_rust() {
    minimum=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' "${here:?}/../Cargo.toml")
    found=$(rust_version)
    older_than "$found" "$minimum" || return 0

    place=$(command -v rustc || command -v cargo || true)
    missing="Rust $minimum or newer"
    if [ -n "$place" ]; then
        missing="$missing, this is ${found:-none that works} ($place)"
    fi
    if has rustup; then
        fail "$missing; run: rustup update stable && rustup default stable"
    fi
    if [ -n "$place" ] && ! owner "$place" >/dev/null; then
        fail "$missing, which is of no package; remove it, and install it with rustup ($rustup_site)"
    fi
    if ! has apt-get; then
        fail "$missing; install it with rustup ($rustup_site)"
    fi
    install_rust
}

# install_rust: the pair of packages that is new enough.
install_rust() {
    if can_install; then
        refresh
    fi
    newest=
    for suffix in '' -web; do
        version=$(offered_rust "$suffix")
        if ! older_than "$version" "$minimum"; then
            if ! can_install; then
                fail "$missing; install it as root (apt-get install rustc$suffix cargo$suffix)," \
                    "or without root with rustup ($rustup_site)"
            fi
            # The certificates are for cargo, which fetches what is compiled.
            install "rustc$suffix" "cargo$suffix" ca-certificates ||
                fail "$missing; apt-get could not install it, as it says above: mend that," \
                    "or install it with rustup ($rustup_site)"
            found=$(rust_version)
            ! older_than "$found" "$minimum" || fail "$missing; rustc$suffix is installed, but on PATH come first:" \
                "$(command -v rustc) and $(command -v cargo)"
            return 0
        fi
        if older_than "$newest" "$version"; then
            newest=$version
        fi
    done
    how="install it with rustup ($rustup_site)"
    if lacks_security_suite; then
        how="add the suite bookworm-security to apt's sources, which has a newer one, or $how"
    fi
    fail "$missing; apt offers ${newest:-none} here: $how"
}

# lacks_security_suite: true on a Debian 12 that does not take its security updates.
lacks_security_suite() {
    grep -q '^VERSION_CODENAME=bookworm$' /etc/os-release 2>/dev/null &&
        ! apt-cache policy 2>/dev/null | grep -q 'n=bookworm-security'
}

need_rust_lint() {
    if cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1; then
        return 0
    fi
    case $(owner "$(command -v cargo)") in
    cargo) packages='rustfmt rust-clippy' ;;
    cargo-web) packages='rustfmt-web rust-web-clippy' ;;
    *) fail 'cargo fmt and cargo clippy; run: rustup component add rustfmt clippy' ;;
    esac
    # shellcheck disable=SC2086 # a list of names
    if can_install && install $packages; then
        return 0
    fi
    fail "cargo fmt and cargo clippy; install them as root (apt-get install $packages)"
}
