//! Who may read the operator's metrics, by the word of the real API server.

use serde_json::json;

use super::Case;
use crate::stage::{NAMESPACE, Stage};
use e2e::patience::until;
use e2e::runner::CaseStage;

/// See the sentences.
pub const CASES: &[Case] = &[Case {
    sentence: "metrics are given over TLS to accounts that may get them, and to nobody else",
    play: scraped,
}];

fn scraped(stage: &mut Stage) {
    stage.install();
    stage.admin.apply(&json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "scraper"},
        "rules": [{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}],
    }));
    stage.admin.apply(&json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "scraper"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "scraper"},
        "subjects": [{"kind": "ServiceAccount", "name": "scraper", "namespace": NAMESPACE}],
    }));
    let (scraper, other) = (stage.token_of("scraper"), stage.token_of("no-scraper"));
    let code = |token: Option<&str>| stage.operators[0].metrics(token).expect("it answers").code;
    // The API server's authorizer learns of a new binding in its own time, and a refusal holds for some seconds.
    until("who may is let in", || code(Some(&scraper)) == 200);
    assert_eq!((code(None), code(Some("made-up")), code(Some(&other))), (401, 401, 403));
    let page = stage.operators[0].metrics(Some(&scraper)).expect("it answers").body;
    assert!(page.contains("secrets_store_csi_operator_leader 1"), "{page}");
    let log = stage.log();
    assert!(!log.contains(&scraper) && !log.contains(&other), "a token is in the log");
}
