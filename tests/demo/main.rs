//! The demonstration, `make demo`: one pod's secrets from start to end, on this machine and without a cluster.
//!
//! The driver and the provider are the real programs in processes of their own, and the mounts are the kernel's.
//! The API server is the tests' double, and kubelet's part is played here. Everything that is told is checked as
//! well: the first expectation that does not hold ends the demonstration with a failure.
//!
//! `demo [DIRECTORY]`: with a directory, its files are the secrets, and their contents are never shown.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a demonstration that cannot go on ends"
)]

mod copy;
mod narrator;
mod node;
mod reader;
mod show;
mod store;
mod story;

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::process::ExitCode;

use narrator::Narrator;
use node::Node;
use store::Store;

fn main() -> ExitCode {
    // The message is enough: where in the demonstration it happened shows from what was told before.
    panic::set_hook(Box::new(|info| eprintln!("demo: {info}")));
    if !is_in_sandbox() {
        eprintln!("demo: this mounts and needs a namespace of its own: run `make demo`, which makes one");
        return ExitCode::from(USAGE);
    }
    let store = match std::env::args_os().nth(1).filter(|argument| !argument.is_empty()) {
        None => Store::made_up(),
        Some(directory) => match user_store(&directory) {
            Ok(store) => store,
            Err(error) => {
                eprintln!("demo: {error}");
                return ExitCode::from(USAGE);
            }
        },
    };
    run(store)
}

/// Tells the story. Whatever goes wrong is said last, after the logs that may explain it.
fn run(store: Store) -> ExitCode {
    let mut narrator = Narrator::to_stdout();
    let mut node = Node::new(store);
    let told = panic::catch_unwind(AssertUnwindSafe(|| story::tell(&mut node, &mut narrator)));
    let failure = match told {
        Ok(Ok(())) => return ExitCode::SUCCESS,
        Ok(Err(failure)) => failure.to_string(),
        Err(_told_by_the_hook) => "the demonstration itself could not go on, see above".to_owned(),
    };
    eprintln!("\n{}", node.last_words());
    eprintln!("demo: FAILED: {failure}");
    ExitCode::FAILURE
}

fn user_store(directory: &OsString) -> Result<Store, String> {
    let store = Store::copy_of(Path::new(directory))?;
    if store.objects().is_empty() {
        let shown = directory.display();
        return Err(format!("could not use {shown}: there is no file in it, symbolic links aside"));
    }
    Ok(store)
}

/// Root, if only within a user namespace, where no mount is seen by others: on a machine they usually are shared.
fn is_in_sandbox() -> bool {
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    let mounts = std::fs::read_to_string("/proc/self/mountinfo");
    is_root && mounts.is_ok_and(|table| !table.lines().any(|line| line.contains(" shared:")))
}

/// EX_USAGE of sysexits: the caller has to do something else, nothing was tried.
const USAGE: u8 = 64;
