//! What the service account may do, verb by verb, as the API server's own rules say.

use super::finding::Finding;
use super::subject::{Subject, budget, unanswered};
use kube::look::Access;
use kube::{ApiError, Budget, Client};

/// A resource and the verbs that are needed on it.
pub struct Need {
    group: &'static str,
    resource: &'static str,
    name: &'static str,
    verbs: &'static [&'static str],
    /// What goes wrong without it, after "without it".
    consequence: &'static str,
}

/// What mounting and refreshing need.
pub fn check(subject: &Subject) -> Vec<Finding> {
    let client = match subject.client_for(PERMISSION) {
        Ok(client) => client,
        Err(finding) => return vec![finding],
    };
    match ask(client, NEEDED) {
        Ok(missing) => judge(&missing),
        Err(error) => vec![unanswered(PERMISSION, &error)],
    }
}

/// What Secret sync needs besides.
pub fn check_sync(subject: &Subject) -> Vec<Finding> {
    let client = match subject.client_for(SYNC) {
        Ok(client) => client,
        Err(finding) => return vec![finding],
    };
    vec![match ask(client, &[SECRETS]) {
        Ok(missing) => judge_sync(missing.first().map_or(&[], |(_, verbs)| verbs.as_slice())),
        Err(error) => unanswered(SYNC, &error),
    }]
}

/// Whether Secrets may be synced, as far as one question tells.
pub fn may_sync(client: &Client, budget: Budget) -> Result<bool, ApiError> {
    let Need { group, resource, name, .. } = SECRETS;
    client.may(Access { verb: "create", group, resource, name }, budget)
}

type Missing = (&'static Need, Vec<&'static str>);

/// What is missing of those needs.
fn ask(client: &Client, needs: &'static [Need]) -> Result<Vec<Missing>, ApiError> {
    let budget = budget();
    let mut missing = Vec::new();
    for need in needs {
        let Need { group, resource, name, verbs, .. } = need;
        let mut refused = Vec::new();
        for verb in *verbs {
            if !client.may(Access { verb, group, resource, name }, budget)? {
                refused.push(*verb);
            }
        }
        if !refused.is_empty() {
            missing.push((need, refused));
        }
    }
    Ok(missing)
}

fn judge(missing: &[Missing]) -> Vec<Finding> {
    if missing.is_empty() {
        let all: usize = NEEDED.iter().map(|need| need.verbs.len()).sum();
        return vec![Finding::good(
            PERMISSION,
            format!("all {all} that mounting and refreshing need are given"),
        )];
    }
    let finding = |(need, verbs): &Missing| {
        let Need { resource, name, consequence, .. } = need;
        let on = if name.is_empty() { (*resource).to_owned() } else { format!("{resource} {name}") };
        let what = format!("may not {} {on}: without it {consequence}", verbs.join(", "));
        Finding::wrong(
            PERMISSION,
            what,
            "kubectl apply -f deploy/rbac-secretproviderclass.yaml (chart: rbac.install=true)",
        )
    };
    missing.iter().map(finding).collect()
}

fn judge_sync(missing: &[&str]) -> Finding {
    let remedy = "kubectl apply -f deploy/rbac-secretprovidersyncing.yaml (chart: syncSecret.enabled=true)";
    match missing.len() {
        0 => Finding::good(SYNC, "Secret sync is on: Secrets may be read, watched, created and changed"),
        all if all == SECRETS.verbs.len() => Finding::warning(
            SYNC,
            "Secret sync is off: the service account may not touch Secrets",
            format!("nothing to do where no class has secretObjects; otherwise {remedy}"),
        ),
        _ => {
            Finding::wrong(SYNC, format!("may not {} secrets: Secret sync fails", missing.join(", ")), remedy)
        }
    }
}

const PERMISSION: &str = "permission";
const SYNC: &str = "permission-sync";
const CUSTOM: &str = "secrets-store.csi.x-k8s.io";

/// Those of deploy/rbac-secretproviderclass.yaml.
pub const NEEDED: &[Need] = &[
    Need {
        group: "",
        resource: "events",
        name: "",
        verbs: &["create"],
        consequence: "owners of pods are not told what goes wrong",
    },
    Need {
        group: "",
        resource: "pods",
        name: "",
        verbs: &["get", "list", "watch"],
        consequence: "Secrets get no owner and volumes of an earlier process are not taken up",
    },
    Need {
        group: CUSTOM,
        resource: "secretproviderclasses",
        name: "",
        verbs: &["get", "list", "watch"],
        consequence: "mounts fail with \"failed to get secretproviderclass\"",
    },
    Need {
        group: CUSTOM,
        resource: "secretproviderclasspodstatuses",
        name: "",
        verbs: &["get", "create", "update"],
        consequence: "mounts fail, since what is mounted cannot be recorded",
    },
    Need {
        group: "storage.k8s.io",
        resource: "csidrivers",
        name: "secrets-store.csi.k8s.io",
        verbs: &["get"],
        consequence: "this doctor cannot see how kubelet treats the driver's volumes",
    },
];

/// Those of deploy/rbac-secretprovidersyncing.yaml.
pub const SECRETS: Need = Need {
    group: "",
    resource: "secrets",
    name: "",
    verbs: &["get", "list", "watch", "create", "patch"],
    consequence: "Secret sync fails",
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Verdict;

    #[test]
    fn each_resource_with_a_missing_verb_has_its_line() {
        let pods = NEEDED.iter().find(|need| need.resource == "pods").unwrap();
        let statuses = NEEDED.iter().find(|need| need.resource == "secretproviderclasspodstatuses").unwrap();
        let found = judge(&[(pods, vec!["list", "watch"]), (statuses, vec!["update"])]);
        assert_eq!(found.len(), 2);
        assert!(found[0].what.starts_with("may not list, watch pods: "), "{:?}", found[0]);
        assert!(
            found[1].what.starts_with("may not update secretproviderclasspodstatuses: "),
            "{:?}",
            found[1]
        );
        for finding in &found {
            assert_eq!(finding.verdict, Verdict::Wrong);
            assert!(finding.remedy.as_ref().unwrap().contains("deploy/rbac-secretproviderclass.yaml"));
        }
        assert_eq!(judge(&[]).len(), 1);
        assert_eq!(judge(&[])[0].verdict, Verdict::Good);
    }

    #[test]
    fn without_any_right_on_secrets_sync_is_off_and_with_some_it_is_broken() {
        let rows = [
            (&[][..], Verdict::Good),
            (&["patch"], Verdict::Wrong),
            (&["get", "list", "watch", "create", "patch"], Verdict::Warning),
        ];
        for (missing, verdict) in rows {
            assert_eq!(judge_sync(missing).verdict, verdict, "{missing:?}");
        }
        assert!(judge_sync(&["patch"]).what.contains("may not patch secrets"));
    }

    /// Every verb of a role's file, as it stands there in flow style.
    fn verbs_in(file: &str) -> Vec<(String, Vec<String>)> {
        let path = format!("{}/../../deploy/{file}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        let list = |line: &str| -> Vec<String> {
            let inner = line.split_once('[').unwrap().1.trim_end_matches(']');
            inner.split(", ").map(|word| word.trim_matches('"').to_owned()).collect()
        };
        let lines = |field: &str| -> Vec<Vec<String>> {
            text.lines().filter(|line| line.trim().starts_with(field)).map(list).collect()
        };
        let resources = lines("resources:").into_iter().map(|resources| resources.join(","));
        resources.zip(lines("verbs:")).collect()
    }

    #[test]
    fn what_is_asked_for_is_what_the_shipped_roles_give() {
        let asked = |needs: &[Need]| -> Vec<(String, Vec<String>)> {
            let verbs = |need: &Need| need.verbs.iter().map(|verb| (*verb).to_owned()).collect();
            needs.iter().map(|need| (need.resource.to_owned(), verbs(need))).collect()
        };
        assert_eq!(asked(NEEDED), verbs_in("rbac-secretproviderclass.yaml"));
        assert_eq!(asked(&[SECRETS]), verbs_in("rbac-secretprovidersyncing.yaml"));
    }
}
