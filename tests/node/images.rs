//! The images that the node runs: the driver's as it ships, and the others made on the spot.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::container_runtime::PAUSE;
use crate::node::Programs;

/// Makes those that are to be made in that directory, and returns the archives of all.
pub fn make(programs: &Programs, directory: &Path) -> Vec<PathBuf> {
    let [shell, provider] = ["shell", "provider"].map(|name| directory.join(name));
    let busybox = find_busybox();
    install(&busybox, &shell.join("bin/busybox"));
    for directory in ["tmp", "etc", "mnt"] {
        fs::create_dir(shell.join(directory)).expect("the directory is new");
    }
    for applet in output(&busybox, &["--list"]).lines().filter(|applet| *applet != "busybox") {
        symlink("busybox", shell.join("bin").join(applet)).expect("the directory is new");
    }
    install(&programs.node.join("node-provider"), &provider.join("node-provider"));
    let mut archives = programs.images.to_vec();
    if programs.has_upstream() {
        // It calls mount and umount.
        let driver = directory.join("upstream");
        copy(&shell, &driver);
        install(&programs.node.join("upstream-driver"), &driver.join("secrets-store-csi"));
        archives.push(pack(UPSTREAM, &driver, r#"["/secrets-store-csi"]"#, &directory.join("upstream.tar")));
        let registrar = directory.join("registrar");
        install(&programs.node.join("upstream-registrar"), &registrar.join("registrar"));
        archives.push(pack(REGISTRAR, &registrar, r#"["/registrar"]"#, &directory.join("registrar.tar")));
    }
    archives.extend([
        pack(PAUSE, &shell, r#"["/bin/sleep","infinity"]"#, &directory.join("pause.tar")),
        pack(SHELL, &shell, "[]", &directory.join("shell.tar")),
        pack(PROVIDER, &provider, r#"["/node-provider"]"#, &directory.join("provider.tar")),
    ]);
    archives
}

fn copy(root: &Path, place: &Path) {
    let status = Command::new("cp").args(["-R", "--no-dereference"]).args([root, place]).status();
    assert!(status.is_ok_and(|status| status.success()), "{} can be copied", root.display());
}

fn pack(name: &str, root: &Path, entrypoint: &str, archive: &Path) -> PathBuf {
    let script = kit::in_repository!("/tests/node/image.sh");
    let status =
        Command::new(script).args([name.as_ref(), root.as_os_str()]).arg(entrypoint).arg(archive).status();
    assert!(status.as_ref().is_ok_and(|status| status.success()), "{script} {name}: {status:?}");
    archive.to_owned()
}

fn install(program: &Path, place: &Path) {
    let directory = place.parent().expect("a place in a directory");
    fs::create_dir_all(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    fs::copy(program, place).unwrap_or_else(|error| panic!("{}: {error}", program.display()));
}

fn find_busybox() -> PathBuf {
    ["/usr/bin/busybox", "/bin/busybox"]
        .map(PathBuf::from)
        .into_iter()
        .find(|path| path.exists())
        .expect("busybox")
}

fn output(program: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    String::from_utf8(output.stdout).expect("it prints text")
}

/// The upstream driver, and what registers it, as its manifest names them.
const UPSTREAM: &str = "registry.k8s.io/csi-secrets-store/driver:v1.6.1";
const REGISTRAR: &str = "registry.k8s.io/sig-storage/csi-node-driver-registrar:v2.16.0";
/// A shell with the usual commands.
pub const SHELL: &str = "localhost/shell:node";
/// The provider.
pub const PROVIDER: &str = "localhost/node-provider:node";
