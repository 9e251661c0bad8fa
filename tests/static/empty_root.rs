//! The driver where there is nothing else: no /etc, no library, no shell. To say its version it needs nothing at all;
//! to serve and to unmount, what the kernel shows in every container: /dev/urandom, for gRPC's core, and /proc.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::{DRIVER, built};
use kit::driver::DriverProcess;
use kit::objects::objects;
use kit::provider::answer;
use kit::shell;
use kit::world::World;

/// A directory that holds a program and nothing else.
struct Root(tempfile::TempDir);

impl Root {
    fn of(architecture: &str) -> Root {
        let root = Root(tempfile::tempdir().expect("a temporary directory"));
        let program = root.0.path().join(DRIVER);
        std::fs::copy(built(architecture, DRIVER), program).expect("it was built");
        root
    }

    /// The arguments of chroot that run the program.
    fn arguments(&self) -> Vec<String> {
        vec![self.0.path().display().to_string(), format!("/{DRIVER}")]
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new("chroot").args(self.arguments()).args(arguments).output().expect("chroot can be started")
    }

    /// Shows a directory under the same path inside, and what is mounted there on both sides, as a container's volume
    /// with bidirectional propagation does.
    fn share(&self, directory: &Path) -> Shared {
        let inside = self.0.path().join(directory.strip_prefix("/").expect("it is absolute"));
        std::fs::create_dir_all(&inside).expect("an empty directory takes another");
        shell::bind(directory, directory);
        shell::share(directory);
        shell::bind(directory, &inside);
        Shared(vec![inside, directory.to_owned()])
    }

    /// Shows what the kernel shows in every container.
    fn with_kernel(&self) -> Shared {
        let place = |name: &str| self.0.path().join(name);
        let (proc, randomness) = (place("proc"), place("dev/urandom"));
        for directory in [&proc, &place("dev")] {
            std::fs::create_dir(directory).expect("an empty directory takes another");
        }
        std::fs::write(&randomness, "").expect("an empty directory takes a file");
        shell::bind("/proc".as_ref(), &proc);
        shell::bind("/dev/urandom".as_ref(), &randomness);
        Shared(vec![proc, randomness])
    }
}

/// What is mounted; dropping it takes that away.
struct Shared(Vec<PathBuf>);

impl Drop for Shared {
    fn drop(&mut self) {
        for place in &self.0 {
            shell::unmount(place);
        }
    }
}

#[test]
fn it_says_its_version_where_there_is_no_other_file() {
    let root = Root::of(std::env::consts::ARCH);
    let output = root.run(&["--version"]);
    assert!(output.status.success(), "{output:?}");
    let version: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert!(version["BuildVersion"].as_str().is_some_and(|version| version.starts_with('v')), "{version}");
}

#[test]
fn it_mounts_and_unmounts_where_there_is_no_other_file_but_the_kernels_own() {
    let mut world = World::without_driver(&[]);
    let _provider = world.provider("test", |_| Ok(answer("v1", &[("password", 0, b"hunter2")])));
    world.class("db", "test", objects(&["password"]));
    let pod = world.pod("web", "db");
    let root = Root::of(std::env::consts::ARCH);
    let _shared = root.share(&world.path(""));
    let _kernel = root.with_kernel();

    let arguments = [root.arguments(), world.arguments()].concat();
    world.start_driver_as(DriverProcess::spawn("chroot".as_ref(), &arguments));
    world.kubelet.publish(&pod).unwrap();
    assert_eq!(pod.read("password"), "hunter2");
    world.kubelet.unpublish(&pod).unwrap();
    assert!(!pod.target.exists());
    world.take_driver().terminate();
}
