//! The images as `make image` leaves them: what is in them, that they are made the same again, and that containerd and
//! runc run them. `make test-image` makes the images, names them in variables, and runs this.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on should stop there"
)]
#![allow(clippy::disallowed_methods, reason = "tests set their own stage")]

mod archive;
mod containerd;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use archive::Archive;
use containerd::Containerd;
use kit::objects::objects;
use kit::provider::answer;
use kit::shell;
use kit::world::World;
use serde_json::Value;

/// What the image calls architectures, and what rustc does.
const ARCHITECTURES: [(&str, &str); 2] = [("amd64", "x86_64"), ("arm64", "aarch64")];

/// One of the images.
pub struct Image {
    /// The program in it, which is all that is in it.
    pub program: &'static str,
    /// As whom it runs.
    user: &'static str,
    /// The file by which others build it.
    dockerfile: &'static str,
    /// The variable with the path of the archive.
    archive: &'static str,
    /// The variable with the image's name.
    name: &'static str,
}

/// Mounts, so it runs as root.
const DRIVER: Image = Image {
    program: "secrets-store-csi-driver",
    user: "0:0",
    dockerfile: "deploy/Dockerfile",
    archive: "TEST_IMAGE",
    name: "IMAGE_NAME",
};
/// Talks to the API server, so it does not.
const OPERATOR: Image = Image {
    program: "secrets-store-csi-operator",
    user: "65532:65532",
    dockerfile: "deploy/operator/Dockerfile",
    archive: "TEST_OPERATOR_IMAGE",
    name: "OPERATOR_IMAGE_NAME",
};

impl Image {
    /// Path of the archive.
    pub fn archive(&self) -> PathBuf {
        PathBuf::from(variable(self.archive))
    }

    /// What a cluster calls it.
    pub fn reference(&self) -> String {
        format!("{}:{}", variable(self.name), variable("TEST_BUILD_VERSION"))
    }

    /// The image is in target/image, the programs are in target/static.
    fn static_directory(&self) -> PathBuf {
        self.archive().ancestors().nth(2).expect("it is in a directory").join("static")
    }
}

#[test]
fn each_has_both_architectures_and_in_each_one_layer_with_the_program_alone() {
    for image in [DRIVER, OPERATOR] {
        let archive = Archive::open(&image.archive());
        let platforms = archive.platforms();
        assert_eq!(platforms, ARCHITECTURES.map(|(architecture, _)| format!("linux/{architecture}")));
        for (architecture, directory) in ARCHITECTURES {
            let layers = archive.layers(architecture);
            assert_eq!(layers.len(), 1, "{architecture}");
            let listing = output(
                "tar",
                [OsStr::new("--list"), "--verbose".as_ref(), "--file".as_ref(), layers[0].as_ref()],
            );
            let entries: Vec<&str> = listing.lines().collect();
            let is_it = |entry: &str| entry.ends_with(&format!(" {}", image.program));
            assert!(matches!(entries[..], [entry] if is_it(entry)), "{listing}");
            assert!(listing.starts_with("-r-xr-xr-x 0/0 "), "who may write it: {listing}");
            let layer = std::fs::read(&layers[0]).unwrap();
            let program = image.static_directory().join(directory).join(image.program);
            let program = std::fs::read(program).unwrap();
            assert!(layer[512..].starts_with(&program), "{architecture}: not the program of `make static`");
        }
    }
}

#[test]
fn its_configuration_says_what_runs_as_whom_and_from_which_commit() {
    for image in [DRIVER, OPERATOR] {
        let archive = Archive::open(&image.archive());
        for (architecture, _) in ARCHITECTURES {
            let whole = archive.configuration(architecture);
            let config = &whole["config"];
            assert_eq!(config["Entrypoint"], serde_json::json!([format!("/{}", image.program)]));
            assert_eq!(config["User"], image.user);
            assert!(config["Env"].is_null() && config["Cmd"].is_null(), "{config}");
            let label = |name: &str| config["Labels"][format!("org.opencontainers.image.{name}")].clone();
            assert_eq!(label("title"), image.program);
            assert_eq!(label("version"), variable("TEST_BUILD_VERSION"));
            assert_eq!(label("revision"), variable("TEST_GIT_COMMIT"));
            assert_eq!(label("licenses"), "Apache-2.0");
            assert_eq!(label("created"), whole["created"], "one time, that of the commit");
        }
    }
}

#[test]
fn each_is_the_same_when_somebody_else_makes_it_elsewhere() {
    let directory = tempfile::tempdir().unwrap();
    let again = directory.path().join("again.tar");
    let script = Path::new(kit::repository::ROOT).join("scripts/image/build.sh");
    for image in [DRIVER, OPERATOR] {
        // What differs between people: the time zone, the language, the mask of modes, the owner and times of files.
        let copies = directory.path().join("static");
        for (_, architecture) in ARCHITECTURES {
            std::fs::create_dir_all(copies.join(architecture)).unwrap();
            let name = format!("{architecture}/{}", image.program);
            std::fs::copy(image.static_directory().join(&name), copies.join(&name)).unwrap();
        }
        let made = Command::new("sh")
            .args(["-c", "umask 077; exec \"$0\" \"$@\""])
            .arg(&script)
            .arg(image.program)
            .args([&copies, &again])
            .envs(
                ["BUILD_VERSION", "GIT_COMMIT", "COMMIT_TIME"]
                    .map(|name| (name, variable(&format!("TEST_{name}")))),
            )
            .env("IMAGE_NAME", variable(image.name))
            .env("TZ", "Asia/Tokyo")
            .env("LC_ALL", "C")
            .current_dir("/")
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let bytes = [&again, &image.archive()].map(|file| std::fs::read(file).unwrap());
        assert!(bytes[0] == bytes[1], "{}: the bytes differ", image.program);
    }
}

#[test]
fn the_dockerfiles_give_the_same_layers() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name).display().to_string();
    let storage = [
        "--storage-driver=vfs".to_owned(),
        format!("--root={}", place("root")),
        format!("--runroot={}", place("run")),
    ];
    let this = std::env::consts::ARCH;
    for image in [DRIVER, OPERATOR] {
        let dockerfile = Path::new(kit::repository::ROOT).join(image.dockerfile);
        let tag = format!("localhost/by-dockerfile/{}:1", image.program);
        let build = [
            "build".to_owned(),
            "--isolation=chroot".to_owned(),
            format!("--timestamp={}", variable("TEST_COMMIT_TIME")),
            format!("--file={}", dockerfile.display()),
            format!("--tag={tag}"),
            image.static_directory().join(this).display().to_string(),
        ];
        output("buildah", storage.iter().chain(&build));
        let inspect = ["inspect", "--type=image", &tag];
        let described = output("buildah", storage.iter().map(String::as_str).chain(inspect));
        let by_dockerfile: Value =
            serde_json::from_str(&described).expect("buildah describes an image in JSON");
        let (architecture, _) =
            ARCHITECTURES.into_iter().find(|(_, machine)| *machine == this).expect("it is shipped");
        let whole = Archive::open(&image.archive()).configuration(architecture);
        assert_eq!(&by_dockerfile["OCIv1"]["rootfs"]["diff_ids"], &whole["rootfs"]["diff_ids"]);
        for field in ["User", "Entrypoint"] {
            assert_eq!(by_dockerfile["OCIv1"]["config"][field], whole["config"][field], "{}", image.program);
        }
    }
}

#[test]
fn containerd_takes_each_and_it_says_who_it_is() {
    let containerd = Containerd::start();
    for image in [DRIVER, OPERATOR] {
        containerd.import(&image);
        let version = containerd.run(&image, &["--version"]);
        let version: Value = serde_json::from_str(&version).expect("one JSON object");
        assert_eq!(version["BuildVersion"], variable("TEST_BUILD_VERSION"));
        assert_eq!(version["GitCommit"], variable("TEST_GIT_COMMIT"));
    }
}

#[test]
fn an_operator_that_is_not_told_what_to_install_says_so_and_ends() {
    let containerd = Containerd::start();
    containerd.import(&OPERATOR);
    let mut operator = containerd.launch(&OPERATOR, &["start"]);
    assert!(!operator.wait().success());
    assert!(operator.log().contains("DRIVER_IMAGE"), "{}", operator.log());
}

#[test]
fn a_container_whose_root_nobody_can_write_mounts_for_the_node_and_unmounts() {
    let containerd = Containerd::start();
    containerd.import(&DRIVER);
    let mut world = World::without_driver(&[]);
    let _provider = world.provider("test", |_| Ok(answer("v1", &[("password", 0, b"hunter2")])));
    world.class("db", "test", objects(&["password"]));
    let pod = world.pod("web", "db");
    let node = world.path("");
    shell::bind(&node, &node);
    shell::share(&node);

    world.start_driver_as(containerd.start_container(&DRIVER, &node, &world.arguments()));
    world.kubelet.publish(&pod).unwrap();
    assert_eq!(pod.read("password"), "hunter2", "what is mounted in the container is there for the node");
    world.kubelet.unpublish(&pod).unwrap();
    assert!(!pod.target.exists());
    world.take_driver().terminate();
    shell::unmount(&node);
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: `make test-image` runs this"))
}

/// What a command that has to work prints.
fn output<A: AsRef<OsStr>>(command: &str, arguments: impl IntoIterator<Item = A>) -> String {
    let output = Command::new(command).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("could not start {command}: {error}"));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {}, {told}", output.status);
    String::from_utf8(output.stdout).expect("text")
}
