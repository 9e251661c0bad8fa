//! The CSIDriver object: how kubelet is told to treat the driver's volumes, against the driver's own flags.

use super::finding::Finding;
use super::subject::{Subject, budget, unanswered};
use config::Rotation;
use kube::types::CsiDriver;

/// The object's fields.
pub fn check(subject: &Subject) -> Vec<Finding> {
    let client = match subject.client_for(CSI_DRIVER) {
        Ok(client) => client,
        Err(finding) => return vec![finding],
    };
    let name = &subject.config().driver_name;
    match client.csi_driver(name, budget()) {
        Ok(driver) => {
            let release = client.server_version(budget()).ok().and_then(|version| version.release);
            judge(&driver, subject.config().rotation, release)
        }
        Err(error) if error.is_not_found() => vec![Finding::wrong(
            CSI_DRIVER,
            format!(
                "there is no CSIDriver {name}: kubelet tells the driver no pod, and pods wait to be attached or end with \
                 \"driver name {name} not found in the list of registered CSI drivers\""
            ),
            "kubectl apply -f deploy/csidriver.yaml; kubectl get csidriver then shows attachRequired false, \
             podInfoOnMount true, modes Ephemeral",
        )],
        Err(error) if error.is_forbidden() => vec![
            Finding::unknown(CSI_DRIVER, format!("the service account may not read CSIDriver {name}"))
                .mended_by(
                    "kubectl apply -f deploy/rbac-secretproviderclass.yaml; see also kubectl get csidriver",
                ),
        ],
        Err(error) => vec![unanswered(CSI_DRIVER, &error)],
    }
}

fn judge(driver: &CsiDriver, rotation: Rotation, release: Option<(u32, u32)>) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut wrong = |check, what: &str, remedy: &str| found.push(Finding::wrong(check, what, remedy));
    if !driver.pod_info_on_mount {
        let what = "podInfoOnMount is not true: the driver is not told whose volume it mounts";
        wrong("csidriver-pod-info", what, "set it to true, as in deploy/csidriver.yaml");
    }
    if driver.attach_required {
        let what = "attachRequired is not false: pods wait for an attachment that nobody makes";
        wrong("csidriver-attach", what, REPLACE);
    }
    if !driver.modes.iter().any(|mode| mode == "Ephemeral") {
        let what = "volumeLifecycleModes lacks Ephemeral: kubelet refuses inline volumes";
        wrong("csidriver-lifecycle", what, REPLACE);
    }
    let is_rotating = rotation != Rotation::Off;
    match (driver.requires_republish, is_rotating) {
        (false, true) => wrong(
            REPUBLISH,
            "requiresRepublish is not true, so kubelet never calls again: --enable-secret-rotation has no effect",
            "set it to true, as in deploy/csidriver.yaml (chart: enableSecretRotation=true)",
        ),
        (true, false) => found.push(Finding::warning(
            REPUBLISH,
            "requiresRepublish is true, and --enable-secret-rotation is not given: mounted secrets stay as they are",
            "nothing to do where secrets need no refresh; otherwise give the flag (chart: enableSecretRotation=true)",
        )),
        _ => {}
    }
    if found.is_empty() {
        let calls = if is_rotating { "and kubelet calls again" } else { "and nothing is refreshed" };
        let groups = if driver.fs_group_policy.is_empty() { "not set" } else { &driver.fs_group_policy };
        found.push(Finding::good(
            CSI_DRIVER,
            format!("podInfoOnMount, no attachment, Ephemeral, {calls}; fsGroupPolicy {groups}"),
        ));
    }
    found.push(judge_tokens(driver, release));
    found
}

fn judge_tokens(driver: &CsiDriver, release: Option<(u32, u32)>) -> Finding {
    let audiences = driver.audiences.join(", ");
    if driver.audiences.is_empty() {
        let what = "no tokenRequests: providers that log in as the pod's service account get no token";
        return Finding::good(TOKENS, what);
    }
    if driver.audiences.iter().any(String::is_empty) {
        let what =
            "tokenRequests has an empty audience: every provider gets tokens that the API server accepts";
        return Finding::warning(TOKENS, what, "name the audience that the provider asks for, and no other");
    }
    if !driver.tokens_in_secrets && release.is_some_and(|release| release >= TOKENS_IN_SECRETS) {
        let what =
            format!("tokens for {audiences} travel among the volume's attributes, which others may log");
        return Finding::warning(TOKENS, what, "set serviceAccountTokenInSecrets to true");
    }
    Finding::good(TOKENS, format!("pods' tokens are requested for {audiences}"))
}

const CSI_DRIVER: &str = "csidriver";
const REPUBLISH: &str = "csidriver-republish";
const TOKENS: &str = "csidriver-tokens";
const REPLACE: &str = "the field cannot be changed: kubectl replace --force -f deploy/csidriver.yaml";
/// The first release that knows serviceAccountTokenInSecrets by default.
const TOKENS_IN_SECRETS: (u32, u32) = (1, 35);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::finding::Verdict;

    fn shipped() -> CsiDriver {
        CsiDriver {
            pod_info_on_mount: true,
            attach_required: false,
            modes: vec!["Ephemeral".into()],
            requires_republish: true,
            ..CsiDriver::default()
        }
    }

    #[test]
    fn each_field_that_harms_is_found_by_its_name() {
        let every = Rotation::Every(Duration::from_secs(120));
        type Change = fn(&mut CsiDriver);
        let rows: [(&str, Change, Rotation, &str, Verdict); 7] = [
            ("shipped", |_| {}, every, "csidriver", Verdict::Good),
            ("no pod", |d| d.pod_info_on_mount = false, every, "csidriver-pod-info", Verdict::Wrong),
            ("attached", |d| d.attach_required = true, every, "csidriver-attach", Verdict::Wrong),
            (
                "persistent",
                |d| d.modes = vec!["Persistent".into()],
                every,
                "csidriver-lifecycle",
                Verdict::Wrong,
            ),
            ("no calls", |d| d.requires_republish = false, every, "csidriver-republish", Verdict::Wrong),
            ("calls for nothing", |_| {}, Rotation::Off, "csidriver-republish", Verdict::Warning),
            ("both off", |d| d.requires_republish = false, Rotation::Off, "csidriver", Verdict::Good),
        ];
        for (name, change, rotation, check, verdict) in rows {
            let mut driver = shipped();
            change(&mut driver);
            let found = judge(&driver, rotation, Some((1, 36)));
            assert_eq!(found.len(), 2, "{name}: {found:?}");
            assert_eq!((found[0].check, found[0].verdict), (check, verdict), "{name}");
            assert_eq!((found[1].check, found[1].verdict), ("csidriver-tokens", Verdict::Good), "{name}");
        }
    }

    #[test]
    fn tokens_are_for_named_audiences_and_in_the_field_for_secrets() {
        let rows = [
            (&[][..], false, Some((1, 36)), Verdict::Good),
            (&["vault"], true, Some((1, 36)), Verdict::Good),
            (&["vault"], false, Some((1, 36)), Verdict::Warning),
            (&["vault"], false, Some((1, 34)), Verdict::Good),
            (&["vault"], false, None, Verdict::Good),
            (&["vault", ""], true, Some((1, 36)), Verdict::Warning),
        ];
        for (audiences, tokens_in_secrets, release, verdict) in rows {
            let audiences = audiences.iter().map(|audience| (*audience).to_owned()).collect();
            let driver = CsiDriver { audiences, tokens_in_secrets, ..shipped() };
            assert_eq!(judge_tokens(&driver, release).verdict, verdict, "{driver:?}");
        }
    }
}
