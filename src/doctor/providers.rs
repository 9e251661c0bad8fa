//! The providers: their directories, their sockets, and whether each answers.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::thread;

use super::finding::{Finding, Verdict};
use super::subject::{ANSWER_TIME, Subject};
use base::panics;
use config::ProviderTrust;
use provider::name::ProviderName;
use provider::socket::{Look, ProviderSocket};
use rpc::Environment;
use rpc::channel::Channel;
use rpc::deadline::Deadline;
use rpc::pb::provider as pb;
use rpc::status::Status;
use sys::at::{Dir, Metadata};
use sys::socket::{self, Kind, Standing};

/// Directories, sockets and answers.
pub fn check(subject: &Subject) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut sockets = Vec::new();
    let mut known = BTreeSet::new();
    let (directories, trust) = (&subject.config().provider_dirs, &subject.config().provider_trust);
    let mut there = 0;
    for directory in directories {
        let names = match open(directory) {
            Ok((metadata, names)) => {
                there += 1;
                found.extend(judge_directory(directory, metadata, trust));
                names
            }
            Err(error) => {
                found.push(Finding::unknown(
                    DIRECTORY,
                    format!("{} is not looked at: {error}", directory.display()),
                ));
                continue;
            }
        };
        for file in names {
            let Some(name) = file.to_str().and_then(|file| file.strip_suffix(".sock")) else { continue };
            let path = directory.join(&file);
            let fault = judge_file(&path, name, socket::look(&path).ok());
            match fault.or_else(|| judge_trust(&path, name, trust)) {
                Some(finding) => found.push(finding),
                // Of two sockets of one name the driver takes the first.
                None if known.insert(name.to_owned()) => sockets.push((name.to_owned(), path)),
                None => {}
            }
        }
    }
    if there == 0 {
        found.push(Finding::wrong(DIRECTORY, "no directory of provider sockets is there", MOUNT_DIRECTORY));
    }
    let beyond = sockets.len().saturating_sub(MOST_ASKED);
    sockets.truncate(MOST_ASKED);
    if beyond > 0 {
        found.push(Finding::unknown(PROVIDER, format!("{beyond} further sockets are not asked")));
    }
    let names: Vec<&str> = sockets.iter().map(|(name, _)| name.as_str()).collect();
    let is_sound = !found.iter().any(|finding| finding.verdict == Verdict::Wrong);
    found.extend(judge_presence(&names, subject.options.provider.as_ref(), is_sound));
    found.extend(ask(&subject.environment, &sockets));
    found
}

/// Whether a provider's socket is there, in the order in which the driver looks.
pub fn has_socket(directories: &[PathBuf], name: &str) -> bool {
    directories.iter().any(|directory| socket::identify(&directory.join(format!("{name}.sock"))).is_ok())
}

fn open(directory: &Path) -> Result<(Metadata, Vec<OsString>), sys::at::SysError> {
    let dir = Dir::open_trusting_path(directory)?;
    let mut names = dir.names()?;
    names.sort();
    Ok((dir.metadata()?, names))
}

/// Asks all of them at once for their versions.
fn ask(environment: &Environment, sockets: &[(String, PathBuf)]) -> Vec<Finding> {
    let version = |path: &Path| -> Result<pb::VersionResponse, Status> {
        let channel = Channel::to_socket(environment, path, LARGEST_ANSWER_BYTES);
        let request = pb::VersionRequest { version: "v1alpha1".to_owned(), ..pb::VersionRequest::default() };
        channel.call_if_present("/v1alpha1.CSIDriverProvider/Version", &request, Deadline::after(ANSWER_TIME))
    };
    thread::scope(|scope| {
        let asked: Vec<_> = sockets
            .iter()
            .map(|(name, path)| {
                let question = move || {
                    let answer = version(path).map(|answer| {
                        let pb::VersionResponse { runtime_name, runtime_version, .. } = answer;
                        format!("{runtime_name} {runtime_version}")
                    });
                    judge_answer(name, path, answer)
                };
                thread::Builder::new().name("provider".to_owned()).spawn_scoped(scope, question)
            })
            .collect();
        let told = |handle: std::io::Result<thread::ScopedJoinHandle<'_, Finding>>| {
            let finding = handle.ok().map(|handle| panics::joined(handle.join()));
            finding.unwrap_or_else(|| Finding::unknown(PROVIDER, "a provider could not be asked: no thread"))
        };
        asked.into_iter().map(told).collect()
    })
}

fn judge_directory(directory: &Path, metadata: Metadata, trust: &ProviderTrust) -> Option<Finding> {
    let Metadata { uid, mode, .. } = metadata;
    let others_write = mode & 0o022 != 0;
    (!trust.may_own_directory(uid) || others_write).then(|| {
        Finding::warning(
            DIRECTORY,
            format!(
                "{} (owner {uid}, mode {mode:04o}) can be written by others than root: whoever can put a socket there is \
                 asked for secrets",
                directory.display()
            ),
            "let it belong to root, mode 0755, or to the uid of a provider that --provider-socket-owners names",
        )
    })
}

/// What is wrong with the file of a provider; nothing where it can be asked.
fn judge_file(path: &Path, name: &str, standing: Option<Standing>) -> Option<Finding> {
    let shown = path.display();
    if ProviderName::parse(name).is_err() {
        let what = format!("{shown}: no class can name a provider \"{name}\"");
        let remedy = "a provider's name has at most 30 letters, digits, dashes and underscores";
        return Some(Finding::warning("provider-name", what, remedy));
    }
    let wrong = |what: &str| Some(Finding::wrong(SOCKET, format!("{shown} {what}"), REPLACE));
    match standing?.kind {
        Kind::Socket | Kind::Link { to_socket: true } => None,
        Kind::Link { to_socket: false } => wrong("is a symlink that leads to no socket here"),
        Kind::Other => wrong("is no socket"),
    }
}

/// Whether the driver calls this socket. Only where its check does not refuse, a link to a socket is a mere warning.
fn judge_trust(path: &Path, name: &str, trust: &ProviderTrust) -> Option<Finding> {
    let shown = path.display();
    let is_link = socket::look(path).is_ok_and(|standing| matches!(standing.kind, Kind::Link { .. }));
    match ProviderSocket::look(&ProviderName::parse(name).ok()?, path, trust) {
        Ok(Look::Distrusted(distrust)) => Some(Finding::wrong(SOCKET, distrust.to_string(), RELAX)),
        // Whether anybody answers is seen when it is asked.
        Ok(Look::Good(_) | Look::Absent) if is_link => Some(Finding::warning(
            SOCKET,
            format!("{shown} is a symlink: whoever owns what it leads to is asked for secrets"),
            REPLACE,
        )),
        Ok(Look::Good(_) | Look::Absent) => None,
        Err(error) => Some(Finding::unknown(SOCKET, format!("{shown} is not looked at: {error}"))),
    }
}

/// `is_sound`: nothing was found wrong with directories and files.
fn judge_presence(names: &[&str], required: Option<&ProviderName>, is_sound: bool) -> Vec<Finding> {
    let mut found = Vec::new();
    if names.is_empty() && is_sound {
        found.push(Finding::wrong(
            PROVIDER,
            "there is no provider: every mount fails with \"provider not found\"",
            "install the provider of your secret store as a DaemonSet; its socket belongs into --provider-volume, as a \
             hostPath that both pods mount",
        ));
    }
    if let Some(name) = required {
        let name = name.as_str();
        found.push(match names.contains(&name) {
            true => Finding::good("provider-required", format!("{name} has a socket")),
            false => Finding::wrong(
                "provider-required",
                format!("{name} has no socket here: mounts fail with \"provider not found\""),
                "look whether the provider's pod runs on this node, and where it puts its socket",
            ),
        });
    }
    found
}

fn judge_answer(name: &str, path: &Path, answer: Result<String, Status>) -> Finding {
    match answer {
        Ok(runtime) => Finding::good(PROVIDER, format!("{name} answers: {}", runtime.trim())),
        Err(status) => Finding::wrong(
            PROVIDER,
            format!("{name} does not answer on {}: {status}", path.display()),
            "look at the log of the provider's pod on this node and restart it; a socket that nobody listens on is left \
             from an earlier one",
        ),
    }
}

const PROVIDER: &str = "provider";
const SOCKET: &str = "provider-socket";
const DIRECTORY: &str = "provider-directory";
const MOUNT_DIRECTORY: &str = "mount the hostPath of --provider-volume into the driver's container (chart: \
                               linux.providersDir)";
const REPLACE: &str = "remove it, and let the provider listen there itself: restart its pod";
const RELAX: &str = "mend it as told; until then --provider-socket-check=warn lets the driver call it";
const LARGEST_ANSWER_BYTES: i32 = 64 * 1024;
/// More than a node has.
const MOST_ASKED: usize = 32;

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use rpc::status::Code;
    use sys::at::EntryKind;

    #[test]
    fn a_directory_is_for_root_alone_to_write() {
        let rows = [
            (0, 0o755, None),
            (0, 0o700, None),
            (0, 0o775, Some(Verdict::Warning)),
            (0, 0o1777, Some(Verdict::Warning)),
            (1000, 0o755, None),
            (3000, 0o755, Some(Verdict::Warning)),
            (2000, 0o755, None),
            (2000, 0o775, Some(Verdict::Warning)),
        ];
        let trust = ProviderTrust::default().naming("named", 2000);
        for (uid, mode, verdict) in rows {
            let modified = SystemTime::UNIX_EPOCH;
            let metadata = Metadata {
                kind: EntryKind::Directory,
                mode,
                gid: 0,
                uid,
                size: 0,
                device: 0,
                inode: 0,
                modified,
            };
            let finding = judge_directory(Path::new("/p"), metadata, &trust);
            assert_eq!(finding.map(|finding| finding.verdict), verdict, "{uid} {mode:o}");
        }
    }

    #[test]
    fn only_a_socket_of_a_good_name_is_asked() {
        let rows = [
            ("vault", Kind::Socket, None),
            ("vault", Kind::Other, Some(("provider-socket", Verdict::Wrong))),
            ("vault", Kind::Link { to_socket: false }, Some(("provider-socket", Verdict::Wrong))),
            ("vault", Kind::Link { to_socket: true }, None),
            ("my.vault", Kind::Socket, Some(("provider-name", Verdict::Warning))),
        ];
        for (name, kind, expected) in rows {
            let found =
                judge_file(Path::new("/p/x.sock"), name, Some(Standing { kind, uid: 0, mode: 0o600 }));
            assert_eq!(found.map(|finding| (finding.check, finding.verdict)), expected, "{name} {kind:?}");
        }
    }

    #[test]
    fn no_provider_is_wrong_and_so_is_the_lack_of_one_that_must_be_there() {
        let vault = ProviderName::parse("vault").unwrap();
        type Row<'a> = (&'a [&'a str], Option<&'a ProviderName>, bool, Vec<(&'static str, Verdict)>);
        let rows: [Row<'_>; 5] = [
            (&["aws"], None, true, vec![]),
            (&[], None, true, vec![("provider", Verdict::Wrong)]),
            (&[], None, false, vec![]),
            (&["aws"], Some(&vault), true, vec![("provider-required", Verdict::Wrong)]),
            (&["vault"], Some(&vault), true, vec![("provider-required", Verdict::Good)]),
        ];
        for (names, required, is_sound, expected) in rows {
            let found = judge_presence(names, required, is_sound);
            let found: Vec<_> = found.iter().map(|finding| (finding.check, finding.verdict)).collect();
            assert_eq!(found, expected, "{names:?} {required:?}");
        }
    }

    #[test]
    fn a_silent_provider_is_wrong_and_named() {
        let status = Status::new(Code::DeadlineExceeded, "no answer");
        let finding = judge_answer("vault", Path::new("/p/vault.sock"), Err(status));
        assert_eq!(finding.verdict, Verdict::Wrong);
        assert!(finding.what.contains("vault does not answer on /p/vault.sock"), "{finding:?}");
        assert_eq!(judge_answer("vault", Path::new("/p"), Ok("v 1".to_owned())).verdict, Verdict::Good);
    }
}
