//! The registration with kubelet: the socket in kubelet's plugin registry, made by the driver or by a sidecar, and
//! what it tells kubelet. The CSINode object would say the same, and reading it is a right that the driver lacks.

use std::path::{Path, PathBuf};

use super::finding::Finding;
use super::subject::{ANSWER_TIME, Subject};
use config::Endpoint;
use rpc::channel::Channel;
use rpc::deadline::Deadline;
use rpc::pb::registration as pb;
use rpc::status::Status;
use sys::at::{Dir, SysError};
use sys::socket::{self, Kind, Standing};

/// The socket and its answer.
pub fn check(subject: &Subject) -> Vec<Finding> {
    let driver = &subject.config().driver_name;
    let Some(directory) = directory(subject) else {
        return vec![
            Finding::unknown(
                REGISTRATION,
                "the driver does not register itself, and kubelet's plugin registry is not seen from here",
            )
            .mended_by(format!(
                "where pods end with {}, look at {SYMPTOM_CAUSES}; the node-driver-registrar has a log of its own",
                symptom(driver)
            )),
        ];
    };
    let path = directory.join(format!("{driver}-reg.sock"));
    let standing = socket::look(&path);
    if let Some(finding) = judge_standing(&path, &standing, driver) {
        return vec![finding];
    }
    let channel = Channel::to_socket(&subject.environment, &path, LARGEST_ANSWER_BYTES);
    let answer: Result<pb::PluginInfo, Status> = channel.call_if_present(
        "/pluginregistration.Registration/GetInfo",
        &pb::InfoRequest::default(),
        Deadline::after(ANSWER_TIME),
    );
    vec![match answer {
        Ok(pb::PluginInfo { type_, name, endpoint, supported_versions, .. }) => {
            let told = Told { kind: type_, name, endpoint, versions: supported_versions };
            judge(&told, driver, expected_endpoint(subject).as_deref())
        }
        Err(status) => Finding::wrong(
            REGISTRATION,
            format!("nobody answers on {}: {status}; pods end with {}", path.display(), symptom(driver)),
            "look at the log of who made the socket: the driver with --kubelet-registration-dir, or the \
             node-driver-registrar",
        ),
    }]
}

/// Kubelet's plugin registry as it is seen from here.
fn directory(subject: &Subject) -> Option<PathBuf> {
    if let Some(given) = &subject.options.registration_dir {
        return Some(given.clone());
    }
    let beside_pods = subject.pods_dir().parent().map(|root| root.join("plugins_registry"));
    beside_pods.filter(|directory| Dir::open_trusting_path(directory).is_ok())
}

/// The path that kubelet has to be told, where it is known.
fn expected_endpoint(subject: &Subject) -> Option<String> {
    let given = &subject.options.registration_path;
    match &subject.config().endpoint {
        _ if !given.is_empty() => Some(given.clone()),
        Endpoint::Unix(path) if subject.options.registration_dir.is_some() => {
            Some(path.display().to_string())
        }
        _ => None,
    }
}

/// What kubelet is told.
struct Told {
    kind: String,
    name: String,
    endpoint: String,
    versions: Vec<String>,
}

fn judge_standing(path: &Path, standing: &Result<Standing, SysError>, driver: &str) -> Option<Finding> {
    let shown = path.display();
    match standing {
        Ok(Standing { kind: Kind::Socket, .. }) => None,
        Ok(_) => Some(Finding::wrong(
            REGISTRATION,
            format!("{shown} is no socket"),
            "remove it and restart the driver",
        )),
        Err(error) if error.is_not_found() || error.is_not_a_directory() => Some(Finding::wrong(
            REGISTRATION,
            format!("there is no {shown}: pods end with {}", symptom(driver)),
            format!("look at {SYMPTOM_CAUSES}"),
        )),
        Err(error) => Some(Finding::unknown(REGISTRATION, error.to_string())),
    }
}

fn judge(told: &Told, driver: &str, endpoint: Option<&str>) -> Finding {
    let Told { kind, name, endpoint: path, versions } = told;
    let wrong = |what: String, remedy: &str| Finding::wrong(REGISTRATION, what, remedy);
    if name != driver {
        return wrong(
            format!("kubelet is told of a driver {name}, not {driver}"),
            "another driver uses this registration socket: look at --drivername",
        );
    }
    if kind != "CSIPlugin" {
        return wrong(format!("kubelet is told of a {kind}, not of a CSIPlugin"), "restart the driver");
    }
    if endpoint.is_some_and(|endpoint| endpoint != path) {
        return wrong(
            format!("kubelet is told to call {path}, not {}", endpoint.unwrap_or_default()),
            "--kubelet-registration-path is the CSI socket's path on the node, below kubelet's root directory",
        );
    }
    if !versions.iter().any(|version| version.starts_with("1.")) {
        return wrong(
            format!("kubelet is told of the versions {}", versions.join(", ")),
            "restart the driver",
        );
    }
    Finding::good(REGISTRATION, format!("kubelet is told to call {name} on {path}"))
}

fn symptom(driver: &str) -> String {
    format!("\"driver name {driver} not found in the list of registered CSI drivers\"")
}

const REGISTRATION: &str = "registration";
const SYMPTOM_CAUSES: &str = "the registrar (--kubelet-registration-dir, or the sidecar), at kubelet's root directory \
                              (chart: linux.kubeletRootDir), and whether the DaemonSet has a pod on the node";
const LARGEST_ANSWER_BYTES: i32 = 64 * 1024;

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;
    use crate::finding::Verdict;

    fn told() -> Told {
        Told {
            kind: "CSIPlugin".to_owned(),
            name: "ours".to_owned(),
            endpoint: "/k/csi.sock".to_owned(),
            versions: vec!["1.0.0".to_owned()],
        }
    }

    #[test]
    fn kubelet_has_to_be_told_of_this_driver_and_its_socket() {
        type Change = fn(&mut Told);
        let rows: [(&str, Change, Verdict); 5] = [
            ("as it is", |_| {}, Verdict::Good),
            ("another name", |told| told.name = "other".to_owned(), Verdict::Wrong),
            ("another kind", |told| told.kind = "DevicePlugin".to_owned(), Verdict::Wrong),
            ("another path", |told| told.endpoint = "/csi/csi.sock".to_owned(), Verdict::Wrong),
            ("another version", |told| told.versions = vec!["0.3.0".to_owned()], Verdict::Wrong),
        ];
        for (name, change, verdict) in rows {
            let mut told = told();
            change(&mut told);
            assert_eq!(judge(&told, "ours", Some("/k/csi.sock")).verdict, verdict, "{name}");
        }
        assert_eq!(judge(&told(), "ours", None).verdict, Verdict::Good, "a sidecar knows its path best");
    }

    #[test]
    fn a_missing_socket_is_told_with_the_symptom_that_people_search_for() {
        let missing = Err(SysError::new("lstat", "/r", Errno::NOENT));
        let finding = judge_standing(Path::new("/r/ours-reg.sock"), &missing, "ours").unwrap();
        assert_eq!(finding.verdict, Verdict::Wrong);
        let symptom = "driver name ours not found in the list of registered CSI drivers";
        assert!(finding.what.contains(symptom), "{finding:?}");
        assert!(finding.remedy.unwrap().contains("linux.kubeletRootDir"));
        let standing = |kind| Ok(Standing { kind, uid: 0, mode: 0o600 });
        let verdict =
            |standing| judge_standing(Path::new("/r"), &standing, "ours").map(|found| found.verdict);
        assert_eq!(verdict(standing(Kind::Socket)), None);
        assert_eq!(verdict(standing(Kind::Other)), Some(Verdict::Wrong));
        assert_eq!(verdict(Err(SysError::new("lstat", "/r", Errno::ACCESS))), Some(Verdict::Unknown));
    }
}
