//! The CSI socket: is it there, and does who answers call itself as kubelet expects.

use std::path::Path;

use super::finding::Finding;
use super::subject::{ANSWER_TIME, Subject};
use config::Endpoint;
use rpc::channel::Channel;
use rpc::deadline::Deadline;
use rpc::pb::csi as pb;
use rpc::status::Status;
use sys::at::SysError;
use sys::socket::{self, Kind, Standing};

/// Socket, name and node.
pub fn check(subject: &Subject) -> Vec<Finding> {
    let Endpoint::Unix(path) = &subject.config().endpoint else {
        let what = format!("{} is no unix socket, and is not looked at", subject.config().endpoint);
        return vec![Finding::unknown(CSI_SOCKET, what)];
    };
    if let Some(finding) = judge_standing(path, &socket::look(path)) {
        return vec![finding];
    }
    let channel = Channel::to_socket(&subject.environment, path, LARGEST_ANSWER_BYTES);
    let deadline = Deadline::after(ANSWER_TIME);
    let alive: Result<pb::ProbeResponse, Status> =
        channel.call_if_present("/csi.v1.Identity/Probe", &pb::ProbeRequest::default(), deadline);
    if let Err(status) = alive {
        let what = format!("nobody answers on {}: {status}", path.display());
        return vec![Finding::wrong(CSI_SOCKET, what, RESTART)];
    }
    let plugin: Result<pb::GetPluginInfoResponse, Status> = channel.call_if_present(
        "/csi.v1.Identity/GetPluginInfo",
        &pb::GetPluginInfoRequest::default(),
        deadline,
    );
    let node: Result<pb::NodeGetInfoResponse, Status> =
        channel.call_if_present("/csi.v1.Node/NodeGetInfo", &pb::NodeGetInfoRequest::default(), deadline);
    vec![
        Finding::good(CSI_SOCKET, format!("the driver answers on {}", path.display())),
        judge_name(plugin.map(|plugin| plugin.name).map_err(|status| status.to_string()), subject),
        judge_node(
            node.map(|node| node.node_id).map_err(|status| status.to_string()),
            &subject.config().node_id,
        ),
    ]
}

/// What is wrong with what stands there; nothing where it is a socket.
fn judge_standing(path: &Path, standing: &Result<Standing, SysError>) -> Option<Finding> {
    let shown = path.display();
    match standing {
        Ok(Standing { kind: Kind::Socket, .. }) => None,
        Ok(_) => {
            let what = format!("{shown} is no socket");
            let remedy = "remove what stands there, or choose another --endpoint";
            Some(Finding::wrong(CSI_SOCKET, what, remedy))
        }
        Err(error) if error.is_not_found() || error.is_not_a_directory() => {
            Some(Finding::wrong(CSI_SOCKET, format!("there is no {shown}"), RESTART))
        }
        Err(error) => Some(Finding::unknown(CSI_SOCKET, error.to_string())),
    }
}

fn judge_name(name: Result<String, String>, subject: &Subject) -> Finding {
    compare_name(name, &subject.config().driver_name)
}

fn compare_name(name: Result<String, String>, expected: &str) -> Finding {
    match name {
        Ok(name) if name == expected => Finding::good("csi-name", format!("it calls itself {name}")),
        Ok(name) => Finding::wrong(
            "csi-name",
            format!("who answers calls itself {name}, not {expected}"),
            "another driver listens there, or one with other flags: look at --drivername and --endpoint",
        ),
        Err(status) => Finding::unknown("csi-name", format!("no answer: {status}")),
    }
}

fn judge_node(answered: Result<String, String>, flag: &str) -> Finding {
    const NODE_ID: &str = "node-id";
    const REMEDY: &str = "give --nodeid=$(KUBE_NODE_NAME), with that variable from the field spec.nodeName";
    match answered {
        Ok(node) if node.is_empty() => Finding::wrong(
            NODE_ID,
            "the driver has no name for its node, and kubelet refuses to register it",
            REMEDY,
        ),
        Ok(node) if node == flag || flag.is_empty() => Finding::good(NODE_ID, format!("the node is {node}")),
        Ok(node) => Finding::warning(
            NODE_ID,
            format!("the driver calls its node {node}, the flags say {flag}"),
            "look whether these are the flags of the driver that runs: see driver-process",
        ),
        Err(status) => Finding::unknown(NODE_ID, format!("no answer: {status}")),
    }
}

const CSI_SOCKET: &str = "csi-socket";
const RESTART: &str =
    "look at the driver's log, why it does not serve: kubectl logs <pod> -c secrets-store [--previous]";
const LARGEST_ANSWER_BYTES: i32 = 64 * 1024;

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;
    use crate::finding::Verdict;

    #[test]
    fn only_a_socket_is_asked() {
        let standing = |kind| Ok(Standing { kind, uid: 0, mode: 0o600 });
        let error = |errno| Err(SysError::new("lstat", "/csi", errno));
        let rows = [
            ("a socket", standing(Kind::Socket), None),
            ("a file", standing(Kind::Other), Some(Verdict::Wrong)),
            ("a link", standing(Kind::Link { to_socket: true }), Some(Verdict::Wrong)),
            ("nothing", error(Errno::NOENT), Some(Verdict::Wrong)),
            ("no directory", error(Errno::NOTDIR), Some(Verdict::Wrong)),
            ("no right", error(Errno::ACCESS), Some(Verdict::Unknown)),
        ];
        for (name, standing, verdict) in rows {
            let finding = judge_standing(Path::new("/csi"), &standing);
            assert_eq!(finding.map(|finding| finding.verdict), verdict, "{name}");
        }
    }

    #[test]
    fn another_name_is_wrong() {
        let name = |name: &str| compare_name(Ok(name.to_owned()), "ours").verdict;
        assert_eq!([name("ours"), name("other"), name("")], [Verdict::Good, Verdict::Wrong, Verdict::Wrong]);
        assert_eq!(compare_name(Err("down".to_owned()), "ours").verdict, Verdict::Unknown);
    }

    #[test]
    fn a_node_without_a_name_is_wrong() {
        let node = |node: &str, flag| judge_node(Ok(node.to_owned()), flag).verdict;
        assert_eq!(node("", "one"), Verdict::Wrong);
        assert_eq!(node("", ""), Verdict::Wrong);
        assert_eq!(node("one", "one"), Verdict::Good);
        assert_eq!(node("one", ""), Verdict::Good);
        assert_eq!(node("one", "two"), Verdict::Warning);
        assert_eq!(judge_node(Err("down".to_owned()), "one").verdict, Verdict::Unknown);
    }
}
