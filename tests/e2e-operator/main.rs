//! `e2e-operator PROGRAMS TOOLS [TEXT]`: the operator against a real etcd, kube-apiserver and kube-controller-manager,
//! which are in the directory PROGRAMS, installed with kubectl, which is in TOOLS. With a text, only the cases whose
//! group or sentence contains it.
//!
//! What is ours is as it ships: the operator's program, the manifests of deploy/operator, the operator's service account
//! and its roles. The operator runs as a process of this machine, with a token of that account and the environment of
//! that Deployment. Nodes are objects without a kubelet, whose part is played as far as a DaemonSet notices it: see
//! `nodes.rs`. `make e2e-operator` builds what is needed and runs this in a mount namespace of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test that cannot go on should stop there"
)]

mod access;
mod cases;
mod manifest;
mod nodes;
mod operand;
mod stage;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use e2e::runner::Runner;
use kit::shell;
use stage::{Programs, Stage};

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let [cluster, tools, text @ ..] = &arguments[..] else {
        eprintln!("usage: e2e-operator PROGRAMS TOOLS [TEXT]; `make e2e-operator` knows where they are");
        return ExitCode::from(USAGE);
    };
    let programs = Programs { cluster: cluster.into(), tools: tools.into() };
    let text = text.first().and_then(|text| text.to_str()).unwrap_or_default();
    let logs = tempfile::Builder::new().prefix("operator-e2e-").tempdir().expect("a temporary directory");
    // In memory, and gone with the namespace.
    let state = logs.path().join("state");
    std::fs::create_dir(&state).expect("an empty directory takes another");
    shell::mount_tmpfs(&state, "mode=0755,size=2g");
    let mut runner = Runner::start();
    let is_good = run(&mut runner, &programs, text, &state, logs.path());
    shell::unmount(&state);
    if is_good {
        return ExitCode::SUCCESS;
    }
    eprintln!("the logs of all programs are kept in {}", logs.keep().display());
    ExitCode::FAILURE
}

fn run(runner: &mut Runner, programs: &Programs, text: &str, state: &Path, logs: &Path) -> bool {
    runner.say("starting etcd, kube-apiserver and kube-controller-manager");
    let mut stage = match runner.attempt(|| Stage::set(programs, state, logs)) {
        Ok(stage) => stage,
        Err(why) => {
            eprintln!("the stage could not be set: {why}");
            return false;
        }
    };
    runner.say("everything runs");
    let mut is_usable = true;
    for (group, cases) in cases::GROUPS {
        let chosen = || cases.iter().filter(|case| group.contains(text) || case.sentence.contains(text));
        if chosen().next().is_some() && is_usable {
            runner.heading(group);
        }
        for case in chosen() {
            is_usable = is_usable && runner.play(case, &mut stage);
        }
    }
    runner.heading("What the operator asked of the API server");
    let audit_log = &stage.control_plane.api_server.audit_log;
    runner.check("every request of the operator was permitted", &access::forbidden(audit_log));
    if text.is_empty() {
        runner
            .check("everything that only the operator's roles permit is needed", &access::unused(audit_log));
    }
    stage.keep_log(logs);
    runner.finish()
}

/// EX_USAGE of sysexits.
const USAGE: u8 = 64;
