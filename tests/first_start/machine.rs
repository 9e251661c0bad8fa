//! A machine with the commands that a test gives it and no others.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// What every system has; the scripts may use nothing else without asking for it.
const COMMANDS: [&str; 21] = [
    "basename", "cat", "chroot", "cp", "cut", "dirname", "env", "grep", "head", "mktemp", "printf", "pwd",
    "readlink", "rm", "sed", "sh", "sort", "tail", "tr", "uname", "uniq",
];

/// Where a system has them.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// The project's directory.
pub fn project() -> &'static Path {
    Path::new(kit::repository::ROOT)
}

/// What apt-get does, as far as anybody asks: it writes down its arguments, and the commands of a package are there
/// once it is installed.
const APT_GET: &str = r#"
echo "$*" >>"$MACHINE/apt-get.log"
if [ "$1" = update ]; then
    if [ -s "$MACHINE/update-fails" ]; then
        head -n 1 "$MACHINE/update-fails" >&2
        sed 1d "$MACHINE/update-fails" >"$MACHINE/update-fails.new"
        cp "$MACHINE/update-fails.new" "$MACHINE/update-fails"
        exit 100
    fi
    exit 0
fi
if [ -e "$MACHINE/install-fails" ]; then
    cat "$MACHINE/install-fails" >&2
    exit 100
fi
for argument in "$@"; do
    if [ -d "$MACHINE/packages/$argument" ]; then
        cp "$MACHINE/packages/$argument"/* "$MACHINE/bin"
    fi
done
"#;

/// What apt-cache says, in German unless it is told otherwise.
const APT_CACHE: &str = r#"
candidate=Installationskandidat installed=Installiert none=keine
if [ "${LC_ALL:-}" = C ]; then
    candidate=Candidate installed=Installed none=none
fi
if [ $# = 1 ]; then
    cat "$MACHINE/suites"
elif [ -e "$MACHINE/offers/$2" ]; then
    printf '%s:\n  %s: (%s)\n  %s: %s\n  Version table:\n' "$2" "$installed" "$none" "$candidate" \
        "$(cat "$MACHINE/offers/$2")"
fi
"#;

/// A directory of commands, and what apt offers.
pub struct Machine {
    place: TempDir,
    overlays: Vec<(PathBuf, &'static str)>,
}

/// What a command said, and what came of it.
pub struct Said {
    pub is_well: bool,
    pub lines: Vec<String>,
}

impl Machine {
    /// A machine of root's, with neither compilers nor packages.
    pub fn new() -> Machine {
        let machine = Machine { place: tempfile::tempdir().unwrap(), overlays: Vec::new() };
        for directory in ["bin", "offers", "packages", "tmp"] {
            std::fs::create_dir(machine.at(directory)).unwrap();
        }
        // PATH leads to the commands by a link, as /bin is one to /usr/bin.
        symlink("bin", machine.at("commands")).unwrap();
        for command in COMMANDS {
            machine.keep(command);
        }
        machine.with("id", "echo 0").with("sleep", "echo \"$*\" >>\"$MACHINE/sleep.log\"")
    }

    /// The same with apt, which offers these packages.
    pub fn debian(offers: &[(&str, &str)]) -> Machine {
        let machine = Machine::new().with("apt-get", APT_GET).with("apt-cache", APT_CACHE);
        for (package, version) in offers {
            std::fs::write(machine.at("offers").join(package), version).unwrap();
        }
        machine.suites("bookworm", &["bookworm", "bookworm-security"])
    }

    /// Somebody who is not root.
    pub fn of_a_user(self) -> Machine {
        self.with("id", "echo 1000")
    }

    /// The release that it says it is, and the suites that apt knows.
    pub fn suites(self, release: &str, suites: &[&str]) -> Machine {
        let lines: Vec<String> =
            suites.iter().map(|suite| format!("     release v=12,o=Debian,n={suite},c=main")).collect();
        std::fs::write(self.at("suites"), lines.join("\n")).unwrap();
        self.file("/etc/os-release", &format!("ID=debian\nVERSION_CODENAME={release}\n"))
    }

    /// A command that is there from the beginning.
    pub fn with(self, command: &str, script: &str) -> Machine {
        write_command(&self.at("bin").join(command), script);
        self
    }

    /// Commands that say this version of themselves.
    pub fn with_version(self, commands: &[&str], version: &str) -> Machine {
        commands.iter().fold(self, |machine, command| machine.with(command, &says(command, version)))
    }

    /// This system's own command.
    pub fn with_real(self, command: &str) -> Machine {
        self.keep(command);
        self
    }

    /// A package that every command is of, by its real path.
    pub fn owned_by(self, package: &str) -> Machine {
        self.with("dpkg-query", &format!("case $2 in */bin/*) echo \"{package}: $2\" ;; *) exit 1 ;; esac"))
    }

    /// Commands that no package has brought.
    pub fn owned_by_nobody(self) -> Machine {
        self.with("dpkg-query", "exit 1")
    }

    /// A command that a package brings, which says a version of itself.
    pub fn package(self, package: &str, command: &str, version: &str) -> Machine {
        let directory = self.at("packages").join(package);
        std::fs::create_dir_all(&directory).unwrap();
        write_command(&directory.join(command), &says(command, version));
        self
    }

    /// Another content of a file that this system has.
    pub fn file(mut self, path: &'static str, content: &str) -> Machine {
        let name = self.at(&format!("overlay-{}", self.overlays.len()));
        std::fs::write(&name, content).unwrap();
        self.overlays.push((name, path));
        self
    }

    /// A directory of this system that holds nothing but this file.
    pub fn directory(mut self, path: &'static str, file: &str, content: &str) -> Machine {
        let name = self.at(&format!("overlay-{}", self.overlays.len()));
        std::fs::create_dir(&name).unwrap();
        std::fs::write(name.join(file), content).unwrap();
        self.overlays.push((name, path));
        self
    }

    /// What apt-get says when it is asked what there is, failing as often.
    pub fn update_fails(self, sayings: &[&str]) -> Machine {
        std::fs::write(
            self.at("update-fails"),
            sayings.iter().map(|line| format!("{line}\n")).collect::<String>(),
        )
        .unwrap();
        self
    }

    /// What apt-get says when it is to install something, and fails.
    pub fn install_fails(self, saying: &str) -> Machine {
        std::fs::write(self.at("install-fails"), format!("{saying}\n")).unwrap();
        self
    }

    /// Runs the script as a command of the Makefile does.
    pub fn ensure(&self, needs: &[&str]) -> Said {
        self.ensure_through(&[], needs)
    }

    /// The same through a program that starts it.
    pub fn ensure_through(&self, starter: &[&str], needs: &[&str]) -> Said {
        // The overlays are gone with the namespace; the programs that make them are this system's.
        let mut script = String::from("set -eu\n");
        for (content, path) in &self.overlays {
            script += &format!("mount --bind '{}' '{path}'\n", content.display());
        }
        script += "exec \"$@\"";
        let commands = self.at("commands");
        let output = Command::new(project().join("tests/sandbox.sh"))
            .args(["sh", "-c", &script, "sh"])
            .args(starter)
            .args(["env", "-i", "LANG=de_DE.UTF-8"])
            .args([
                format!("PATH={}", commands.display()),
                format!("MACHINE={}", self.place.path().display()),
            ])
            .arg(format!("TMPDIR={}", self.at("tmp").display()))
            .arg(project().join("scripts/ensure-tools.sh"))
            .args(needs)
            .env("PATH", PATH)
            .output()
            .unwrap();
        assert_eq!(std::fs::read_dir(self.at("tmp")).unwrap().count(), 0, "it leaves no file behind");
        Said::of(&output)
    }

    /// The packages that were installed, or were to be.
    pub fn installed(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.at("apt-get.log")).unwrap_or_default();
        let packages = |line: &str| -> Vec<String> {
            let words = line.split(' ').skip(1);
            words.filter(|word| !word.starts_with('-') && !word.contains("::")).map(str::to_owned).collect()
        };
        log.lines().filter(|line| line.starts_with("install ")).flat_map(packages).collect()
    }

    /// How often apt-get was asked what there is.
    pub fn updates(&self) -> usize {
        let log = std::fs::read_to_string(self.at("apt-get.log")).unwrap_or_default();
        log.lines().filter(|line| line.starts_with("update")).count()
    }

    /// Where PATH finds a command of this machine.
    pub fn path_of(&self, command: &str) -> String {
        self.at("commands").join(command).display().to_string()
    }

    fn at(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn keep(&self, command: &str) {
        let found =
            PATH.split(':').map(|directory| Path::new(directory).join(command)).find(|file| file.exists());
        // Some are part of the shell alone. No links: a test that puts its own command in the place of one would write
        // to what the link leads to.
        if let Some(file) = found {
            write_command(&self.at("bin").join(command), &format!("exec {} \"$@\"", file.display()));
        }
    }
}

impl Said {
    pub fn of(output: &Output) -> Said {
        let text = [output.stdout.as_slice(), &output.stderr].concat();
        let lines = String::from_utf8(text).unwrap().lines().map(str::to_owned).collect();
        Said { is_well: output.status.success(), lines }
    }

    /// It did what it was asked, and said this.
    #[track_caller]
    pub fn assert_well(&self, lines: &[&str]) {
        assert!(self.is_well, "{:?}", self.lines);
        assert_eq!(self.lines, lines);
    }

    /// It did not, and said this.
    #[track_caller]
    pub fn assert_fails(&self, lines: &[&str]) {
        assert!(!self.is_well, "{:?}", self.lines);
        assert_eq!(self.lines, lines);
    }
}

/// A script that says a version in the way of compilers.
fn says(command: &str, version: &str) -> String {
    format!("echo '{command} {version} (of this day)'")
}

fn write_command(file: &Path, script: &str) {
    std::fs::write(file, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(file, PermissionsExt::from_mode(0o755)).unwrap();
}
