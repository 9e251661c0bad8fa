//! A containerd of the test's own, which runs containers with runc.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::{Image, output};
use kit::driver::DriverProcess;
use kit::eventually;

/// containerd; it ends with this, and its directory goes.
pub struct Containerd {
    // First, so that it ends before its directory goes.
    _process: DriverProcess,
    directory: tempfile::TempDir,
}

impl Containerd {
    /// Starts it and waits until it serves.
    pub fn start() -> Containerd {
        let directory = tempfile::Builder::new().prefix("ctrd").tempdir().expect("a temporary directory");
        let place = |name: &str| directory.path().join(name).display().to_string();
        let file = place("config.toml");
        // No kubelet talks to it.
        let config = format!(
            "version = 2\nroot = {:?}\nstate = {:?}\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
             [grpc]\naddress = {:?}\n",
            place("root"),
            place("state"),
            place("sock"),
        );
        std::fs::write(&file, config).expect("the directory is there");
        let process = DriverProcess::spawn("containerd".as_ref(), &["--config".to_owned(), file]);
        let containerd = Containerd { _process: process, directory };
        eventually("containerd serves", || {
            containerd.command().arg("version").output().is_ok_and(|output| output.status.success())
        });
        containerd
    }

    /// Takes the images of all architectures out of an archive.
    pub fn import(&self, image: &Image) {
        let archive = image.archive().display().to_string();
        self.output(&["images", "import", "--all-platforms", &archive]);
    }

    /// Runs the program with arguments to its end, and returns what it prints.
    pub fn run(&self, image: &Image, arguments: &[&str]) -> String {
        let run = self.run_arguments(image, &[], arguments);
        self.output(&run.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Starts the program with arguments, and with its root read-only.
    pub fn launch(&self, image: &Image, arguments: &[&str]) -> DriverProcess {
        let run = self.run_arguments(image, &[], arguments);
        DriverProcess::spawn("ctr".as_ref(), &[self.client_arguments(), run].concat())
    }

    /// Starts the program as the DaemonSet does: privileged, on the node's network, its root read-only, and with one
    /// directory of the node whose mounts are the node's.
    pub fn start_container(&self, image: &Image, directory: &Path, arguments: &[String]) -> DriverProcess {
        let directory = directory.display().to_string();
        let directory = directory.trim_end_matches('/');
        let mount = format!("type=bind,src={directory},dst={directory},options=rbind:rw:rshared");
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let run = self.run_arguments(
            image,
            &["--privileged", "--net-host", "--rootfs-propagation=shared", "--mount", &mount],
            &arguments,
        );
        DriverProcess::spawn("ctr".as_ref(), &[self.client_arguments(), run].concat())
    }

    fn run_arguments(&self, image: &Image, flags: &[&str], arguments: &[&str]) -> Vec<String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        // Runc remembers containers at a place of the machine's, those of a run that was cut short too.
        let whose = self.directory.path().file_name().expect("a directory has a name").to_string_lossy();
        let name = format!("{whose}-{}", COUNT.fetch_add(1, Ordering::Relaxed)).replace('.', "");
        let (reference, entrypoint) = (image.reference(), format!("/{}", image.program));
        // A plain copy of the layer: not every file system that tests run on can lie under an overlay.
        let mut run: Vec<String> = ["run", "--rm", "--snapshotter=native", "--read-only"]
            .into_iter()
            .chain(flags.iter().copied())
            .map(str::to_owned)
            .collect();
        // ctr has arguments take the place of the entrypoint, where a kubelet appends them.
        run.extend([reference, name, entrypoint]);
        run.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        run
    }

    fn output(&self, arguments: &[&str]) -> String {
        let own = self.client_arguments();
        output("ctr", own.iter().map(String::as_str).chain(arguments.iter().copied()))
    }

    fn command(&self) -> Command {
        let mut command = Command::new("ctr");
        command.args(self.client_arguments());
        command
    }

    fn client_arguments(&self) -> Vec<String> {
        vec!["--address".to_owned(), self.directory.path().join("sock").display().to_string()]
    }
}
