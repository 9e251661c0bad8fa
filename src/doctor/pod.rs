//! One pod, as its owner asks about it: are the classes of its volumes there, and what they need.

use super::finding::Finding;
use super::subject::{Subject, budget, unanswered};
use super::{permissions, providers};
use kube::types::{Pod, PodVolume};
use kube::{Client, SecretProviderClass};
use provider::name::ProviderName;

/// The pod of `--pod`, and each volume of it that is this driver's.
pub fn check(subject: &Subject) -> Vec<Finding> {
    let Some((namespace, name)) = &subject.options.pod else { return Vec::new() };
    let client = match subject.client_for(POD) {
        Ok(client) => client,
        Err(finding) => return vec![finding],
    };
    let pod = match client.pod_once(namespace, name, budget()) {
        Ok(pod) => pod,
        Err(error) if error.is_not_found() => {
            let what = format!("there is no pod {namespace}/{name}");
            return vec![Finding::wrong(POD, what, "look at its name and namespace: kubectl get pods -A")];
        }
        Err(error) => return vec![unanswered(POD, &error)],
    };
    let config = subject.config();
    let volumes: Vec<&PodVolume> =
        pod.volumes.iter().filter(|volume| volume.driver == config.driver_name).collect();
    let mut found = vec![judge_pod(&pod, volumes.len(), &config.node_id)];
    for volume in volumes {
        found.extend(check_volume(subject, client, namespace, volume));
    }
    found
}

fn check_volume(subject: &Subject, client: &Client, namespace: &str, volume: &PodVolume) -> Vec<Finding> {
    let mut found = judge_volume(volume);
    if volume.class.is_empty() {
        return found;
    }
    match client.class_once(namespace, &volume.class, budget()) {
        Ok(class) => {
            let has_socket = providers::has_socket(&subject.config().provider_dirs, &class.provider);
            // Unknown counts as given: that it cannot be asked is told elsewhere.
            let may_sync = permissions::may_sync(client, budget()).unwrap_or(true);
            found.extend(judge_class(volume, &class, has_socket, may_sync));
        }
        Err(error) if error.is_not_found() => found.push(Finding::wrong(
            CLASS,
            format!(
                "volume {}: there is no SecretProviderClass {namespace}/{}: \"failed to get secretproviderclass\"",
                volume.name, volume.class
            ),
            "create the class in the pod's own namespace, where alone it is looked for",
        )),
        Err(error) => found.push(unanswered(CLASS, &error)),
    }
    found
}

fn judge_pod(pod: &Pod, volumes: usize, node: &str) -> Finding {
    let key = &pod.key;
    if volumes == 0 {
        return Finding::warning(
            POD,
            format!("{key} has no inline volume of this driver"),
            "give it a volume csi: {driver: ..., readOnly: true, volumeAttributes: {secretProviderClass: ...}}",
        );
    }
    if !node.is_empty() && !pod.node.is_empty() && pod.node != node {
        return Finding::warning(
            POD,
            format!("{key} is on node {}, this is {node}: providers are looked for here", pod.node),
            "run the doctor in the driver's pod on that node",
        );
    }
    let ending = if pod.is_ending { ", and is ending" } else { "" };
    Finding::good(
        POD,
        format!("{key} has {volumes} volumes of this driver{ending}; kubectl describe pod shows its events"),
    )
}

fn judge_volume(volume: &PodVolume) -> Vec<Finding> {
    let PodVolume { name, class, is_read_only, .. } = volume;
    let mut found = Vec::new();
    if !is_read_only {
        let what = format!("volume {name}: readOnly is not true, and the driver refuses it");
        found.push(Finding::wrong(VOLUME, what, "set csi.readOnly: true in the pod"));
    }
    if class.is_empty() {
        let what = format!("volume {name}: it names no class");
        found.push(Finding::wrong(VOLUME, what, "set volumeAttributes.secretProviderClass in the pod"));
    }
    found
}

fn judge_class(
    volume: &PodVolume,
    class: &SecretProviderClass,
    has_socket: bool,
    may_sync: bool,
) -> Vec<Finding> {
    let (name, key, provider) = (&volume.name, &class.key, &class.provider);
    let mut found = Vec::new();
    if class.parameters.is_empty() {
        let what = format!("volume {name}: class {key} has no parameters, and the driver refuses it");
        found.push(Finding::wrong(CLASS, what, "say in spec.parameters what the provider shall fetch"));
    }
    if ProviderName::parse(provider).is_err() {
        let what =
            format!("volume {name}: class {key} names a provider \"{provider}\", which none can be called");
        found.push(Finding::wrong(CLASS, what, "set spec.provider to the name of the provider's socket"));
    } else if !has_socket {
        found.push(Finding::wrong(
            "pod-provider",
            format!("volume {name}: class {key} asks provider {provider}, which has no socket on this node"),
            "look whether the provider's pod runs on this node, and at spec.provider of the class",
        ));
    }
    if !class.secret_objects.is_empty() && !may_sync {
        found.push(Finding::warning(
            "pod-secrets",
            format!("volume {name}: class {key} has secretObjects, which the driver may not write"),
            "see permission-sync",
        ));
    }
    if let Some(excess) = class.excess() {
        let what = format!("volume {name}: {excess}");
        found.push(Finding::warning(CLASS, what, "divide it among several classes, see docs/limits.md"));
    }
    if found.is_empty() {
        let count = class.parameters.count();
        found.push(Finding::good(
            CLASS,
            format!("volume {name}: class {key}, provider {provider}, {count} parameters"),
        ));
    }
    found
}

const POD: &str = "pod";
const VOLUME: &str = "pod-volume";
const CLASS: &str = "pod-class";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::finding::Verdict;
    use kube::types::{Parameters, SecretObjects};

    fn volume() -> PodVolume {
        PodVolume {
            name: "secrets".to_owned(),
            driver: "d".to_owned(),
            class: "db".to_owned(),
            is_read_only: true,
        }
    }

    fn class() -> SecretProviderClass {
        let object = json!({
            "metadata": {"namespace": "team", "name": "db"},
            "spec": {"provider": "vault", "parameters": {"role": "hunter2"}, "secretObjects": [{"secretName": "s"}]},
        });
        serde_json::from_value(object).unwrap()
    }

    fn seen(found: &[Finding]) -> Vec<(&'static str, Verdict)> {
        found.iter().map(|finding| (finding.check, finding.verdict)).collect()
    }

    #[test]
    fn what_a_volume_lacks_is_told() {
        assert_eq!(seen(&judge_volume(&volume())), []);
        let writable = PodVolume { is_read_only: false, ..volume() };
        assert_eq!(seen(&judge_volume(&writable)), [("pod-volume", Verdict::Wrong)]);
        let bare = PodVolume { class: String::new(), ..volume() };
        assert_eq!(seen(&judge_volume(&bare)), [("pod-volume", Verdict::Wrong)]);
    }

    #[test]
    fn what_a_class_lacks_is_told_and_its_parameters_are_not() {
        type Change = fn(&mut SecretProviderClass);
        let rows: [(&str, Change, bool, bool, &str, Verdict); 6] = [
            ("whole", |_| {}, true, true, "pod-class", Verdict::Good),
            (
                "empty",
                |class| class.parameters = Parameters::default(),
                true,
                true,
                "pod-class",
                Verdict::Wrong,
            ),
            ("no provider", |class| class.provider.clear(), false, true, "pod-class", Verdict::Wrong),
            ("no socket", |_| {}, false, true, "pod-provider", Verdict::Wrong),
            ("no sync", |_| {}, true, false, "pod-secrets", Verdict::Warning),
            (
                "no need",
                |class| class.secret_objects = SecretObjects::default(),
                true,
                false,
                "pod-class",
                Verdict::Good,
            ),
        ];
        for (name, change, has_socket, may_sync, check, verdict) in rows {
            let mut class = class();
            change(&mut class);
            let found = judge_class(&volume(), &class, has_socket, may_sync);
            assert_eq!(seen(&found), [(check, verdict)], "{name}");
            assert!(!format!("{found:?}").contains("hunter2"), "{found:?}");
        }
    }

    #[test]
    fn a_pod_of_another_node_or_without_volumes_is_warned_about() {
        let pod = Pod { node: "one".to_owned(), ..Pod::default() };
        assert_eq!(judge_pod(&pod, 1, "one").verdict, Verdict::Good);
        assert_eq!(judge_pod(&pod, 1, "").verdict, Verdict::Good);
        assert_eq!(judge_pod(&pod, 1, "two").verdict, Verdict::Warning);
        assert_eq!(judge_pod(&pod, 0, "one").verdict, Verdict::Warning);
    }
}
