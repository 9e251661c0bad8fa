//! `node KUBERNETES CLUSTER NODE TOOLS DRIVER OPERATOR PACE [TEXT]`: the driver on a real node, under the kubelet of
//! that version of Kubernetes. The directories have the programs of the control plane, those of a node, and kubectl and
//! Helm; DRIVER and OPERATOR are the archives of the images. The pace is `default` for kubelet as it is everywhere, or
//! `quick` for one that looks after its volumes more often. With a text, only the cases whose group or sentence
//! contains it.
//!
//! Nothing is played here: etcd, the API server, the controllers, the scheduler, kubelet, containerd and runc are the
//! real ones, and the driver is the image that ships, installed with the manifests and the chart that ship. They run in
//! namespaces of their own, so nothing listens on this machine, and all of it ends with this program.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test that cannot go on should stop there"
)]

mod authority;
mod cases;
mod container_runtime;
mod control_plane;
mod daemon;
mod driver;
mod groups;
mod images;
mod init;
mod kubectl;
mod kubelet;
mod machine;
mod node;
mod objects;
mod provider;
mod stage;

use std::path::Path;
use std::process::{Command, ExitCode};

use e2e::runner::Runner;

use kubelet::Pace;
use node::Programs;

use stage::Stage;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (programs, pace, text) = match arguments[..] {
        ["init", disk] => init::run(Path::new(disk)),
        [kubernetes, cluster, node, tools, driver, operator, pace @ ("default" | "quick"), ref text @ ..] => {
            let [cluster, node, tools, driver, operator] =
                [cluster, node, tools, driver, operator].map(Into::into);
            let programs = Programs {
                cluster,
                node,
                tools,
                images: [driver, operator],
                kubernetes: kubernetes.to_owned(),
            };
            let pace = if pace == "quick" { Pace::Quick } else { Pace::Default };
            (programs, pace, text.first().copied().unwrap_or_default().to_owned())
        }
        _ => {
            eprintln!(
                "usage: node KUBERNETES CLUSTER NODE TOOLS DRIVER OPERATOR PACE [TEXT]; `make node` knows them"
            );
            return ExitCode::from(USAGE);
        }
    };
    let logs =
        tempfile::Builder::new().prefix("secrets-store-node-").tempdir().expect("a temporary directory");
    // In memory, and gone with the namespace.
    let disk = logs.path().join("disk");
    std::fs::create_dir(&disk).expect("an empty directory takes another");
    mount_disk(&disk);
    let mut runner = Runner::start();
    let is_good = run(&mut runner, &programs, pace, &text, &disk, logs.path());
    let status = Command::new("umount").arg("--lazy").arg(&disk).status();
    assert!(status.is_ok_and(|status| status.success()), "the disk can be taken away");
    if is_good {
        return ExitCode::SUCCESS;
    }
    eprintln!("the logs of all programs are kept in {}", logs.keep().display());
    ExitCode::FAILURE
}

fn run(runner: &mut Runner, programs: &Programs, pace: Pace, text: &str, disk: &Path, logs: &Path) -> bool {
    runner.say(&format!("starting a node with the kubelet of Kubernetes {}", programs.kubernetes));
    let mut stage = match runner.attempt(|| Stage::set(programs, pace, disk, logs)) {
        Ok(stage) => stage,
        Err(why) => {
            eprintln!("the stage could not be set: {why}");
            return false;
        }
    };
    runner.say("the node is ready, and the driver and a provider are installed");
    let mut is_usable = true;
    for group in cases::GROUPS.iter().filter(|group| group.is_smoke || pace == Pace::Default) {
        let chosen =
            || group.cases.iter().filter(|case| group.name.contains(text) || case.sentence.contains(text));
        if chosen().next().is_some() && is_usable {
            runner.heading(group.name);
        }
        for case in chosen() {
            is_usable = is_usable && runner.play(case, &mut stage);
        }
    }
    runner.finish()
}

fn mount_disk(place: &Path) {
    let options = ["-t", "tmpfs", "-o", "mode=0755,size=8g", "tmpfs"];
    let status = Command::new("mount").args(options).arg(place).status();
    assert!(status.as_ref().is_ok_and(|status| status.success()), "mount: {status:?}");
}

/// EX_USAGE of sysexits.
const USAGE: u8 = 64;
