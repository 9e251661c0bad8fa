//! The custom resources: are both kinds served, and in which versions. Their definitions are not for the driver to
//! read; what the API server serves is open to every account.

use super::finding::Finding;
use super::subject::{Subject, budget, unanswered};
use kube::ApiError;

/// Both kinds in `v1`, and whether `v1alpha1` is served too.
pub fn check(subject: &Subject) -> Vec<Finding> {
    let client = match subject.client_for(CRD) {
        Ok(client) => client,
        Err(finding) => return vec![finding],
    };
    let absent_is_empty = |answer: Result<Vec<String>, ApiError>| match answer {
        Err(error) if error.is_not_found() => Ok(Vec::new()),
        answer => answer,
    };
    let versions = absent_is_empty(client.served_versions(GROUP, budget()));
    let served = versions.and_then(|versions| {
        let plurals = absent_is_empty(client.served_resources(GROUP, "v1", budget()))?;
        Ok((versions, plurals))
    });
    match served {
        Ok((versions, plurals)) => judge(&versions, &plurals),
        Err(error) => vec![unanswered(CRD, &error)],
    }
}

fn judge(versions: &[String], plurals: &[String]) -> Vec<Finding> {
    let missing: Vec<_> = KINDS.iter().filter(|kind| !plurals.iter().any(|plural| plural == *kind)).collect();
    if missing.is_empty() {
        let old = match versions.iter().any(|version| version == "v1alpha1") {
            true => "and in v1alpha1",
            false => "not in v1alpha1, which only old manifests name",
        };
        return vec![Finding::good(CRD, format!("{} are served in v1, {old}", KINDS.join(" and ")))];
    }
    let finding = |plural: &&&str| {
        Finding::wrong(
            CRD,
            format!("{plural}.{GROUP} is not served in v1"),
            format!("kubectl apply -f deploy/crds/{GROUP}_{plural}.yaml (chart: linux.crds.enabled=true)"),
        )
    };
    missing.iter().map(finding).collect()
}

const CRD: &str = "crd";
const GROUP: &str = "secrets-store.csi.x-k8s.io";
const KINDS: [&str; 2] = ["secretproviderclasses", "secretproviderclasspodstatuses"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Verdict;

    #[test]
    fn each_kind_that_is_not_served_in_v1_has_its_line() {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let rows = [
            ("both", &["v1", "v1alpha1"][..], &KINDS[..], vec![Verdict::Good]),
            ("in v1 alone", &["v1"], &KINDS[..], vec![Verdict::Good]),
            ("one", &["v1"], &KINDS[..1], vec![Verdict::Wrong]),
            ("none", &[], &[], vec![Verdict::Wrong, Verdict::Wrong]),
            ("in v1alpha1 alone", &["v1alpha1"], &[], vec![Verdict::Wrong, Verdict::Wrong]),
        ];
        for (name, versions, plurals, verdicts) in rows {
            let found = judge(&owned(versions), &owned(plurals));
            let seen: Vec<_> = found.iter().map(|finding| finding.verdict).collect();
            assert_eq!(seen, verdicts, "{name}");
        }
        let one = judge(&owned(&["v1"]), &owned(&KINDS[1..]));
        assert!(one[0].what.starts_with("secretproviderclasses."), "{one:?}");
        assert!(one[0].remedy.as_ref().unwrap().contains("_secretproviderclasses.yaml"), "{one:?}");
    }

    #[test]
    fn the_files_of_the_remedy_exist() {
        for plural in KINDS {
            let file = format!("{}/../../deploy/crds/{GROUP}_{plural}.yaml", env!("CARGO_MANIFEST_DIR"));
            assert!(std::path::Path::new(&file).exists(), "{file}");
        }
    }
}
