//! The same release, from the upstream chart to this one and back. The upstream chart is played by one that makes the
//! same objects; see its Chart.yaml.

use std::collections::BTreeSet;

use serde_json::json;

use super::Case;
use super::chart::{daemon_set, values};
use super::chart_release::{daemon_set_path, hand_over, uninstall, upgrade};
use crate::manifest;
use crate::site::{CASES as FILES, CHART, NAMESPACE, RELEASE, Site, Snapshot, objects};
use crate::stage::Stage;
use crate::workloads::class;
use e2e::kinds;
use e2e::patience::until;

/// See the sentences.
pub const CASES: &[Case] = &[
    Case {
        sentence: "an upgrade with the same values replaces what upstream's chart made, and leaves no rest",
        play: there,
    },
    Case { sentence: "and so does the way back", play: back },
    Case {
        sentence: "an upgrade that reuses all of upstream's values gets our defaults for the rest",
        play: reused,
    },
    Case { sentence: "the manifests replace upstream's, in place", play: manifests },
];

fn there(stage: &mut Stage) {
    let site = stage.site();
    let set = install_upstream(site);
    let notes = upgrade(site, RELEASE, CHART, &["--values", &values("upstream-e2e.yaml")]);
    expect_whole(site, &set);
    let found = site.admin.get(&daemon_set_path()).expect("it is there");
    let containers = found["spec"]["template"]["spec"]["containers"].as_array().expect("a list");
    assert_eq!(containers.len(), 1, "the others are gone: {found}");
    assert!(notes.contains("These definitions"), "{notes}");
    let found = Snapshot::take(site);
    let of_jobs = |snapshot: &Snapshot| snapshot.paths().filter(|path| path.ends_with("-crds")).count();
    assert_eq!(of_jobs(&found), 6, "a role, its binding and an account of two Jobs: {found:?}");
    // The definitions in two commands, and what each Job has left behind in three.
    assert_eq!(hand_over(site, &notes), 8, "{notes}");
    let left = Snapshot::take(site);
    assert_eq!(of_jobs(&left), 0, "{left:?}");
    let notes = upgrade(site, RELEASE, CHART, &["--values", &values("upstream-e2e.yaml")]);
    assert!(!notes.contains("These definitions") && !notes.contains("left these behind"), "{notes}");
    for name in DEFINITIONS {
        let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}");
        let definition = site.admin.get(&path).expect("it is kept");
        assert_eq!(
            definition["metadata"]["labels"]["helm.sh/chart"],
            concat!("secrets-store-csi-driver-", env!("CARGO_PKG_VERSION"))
        );
    }
    uninstall(site, RELEASE);
    until("the definitions alone are left", || {
        Snapshot::take(site).paths().all(|path| path.contains("/customresourcedefinitions/"))
    });
    expect_classes(site);
}

fn back(stage: &mut Stage) {
    let site = stage.site();
    let set = install_upstream(site);
    let upstream = Snapshot::take(site);
    upgrade(site, RELEASE, CHART, &["--values", &values("upstream-e2e.yaml")]);
    upgrade(site, RELEASE, &theirs(), &["--values", &values("upstream-e2e.yaml")]);
    expect_whole(site, &set);
    let stable = |snapshot: &Snapshot| -> BTreeSet<String> {
        let lasting = |path: &&str| {
            !["/pods/", "/controllerrevisions/", "/secrets/"].iter().any(|kind| path.contains(kind))
        };
        snapshot.paths().filter(lasting).map(str::to_owned).collect()
    };
    assert_eq!(stable(&upstream), stable(&Snapshot::take(site)));
    let found = site.admin.get(&daemon_set_path()).expect("it is there");
    let pod = &found["spec"]["template"]["spec"];
    assert_eq!(pod["containers"].as_array().map(Vec::len), Some(3), "{found}");
    // And by Helm's own way back.
    site.helm(&["rollback", RELEASE, "3", "--namespace", NAMESPACE]).expect_good();
    expect_whole(site, &set);
    expect_classes(site);
}

/// Helm then has our templates with upstream's values: none of ours is there.
fn reused(stage: &mut Stage) {
    let site = stage.site();
    let set = install_upstream(site);
    let notes = upgrade(site, RELEASE, CHART, &["--reuse-values"]);
    assert!(notes.contains("linux.image: it is the upstream chart's default"), "{notes}");
    expect_whole(site, &set);
    let manifest = site.helm(&["get", "manifest", RELEASE, "--namespace", NAMESPACE]).expect_good();
    let manifest = objects(&manifest);
    let found = manifest.iter().find(|object| object["kind"] == "DaemonSet");
    let files = ["upstream-defaults.yaml", "upstream-e2e.yaml"].map(values);
    let expected = daemon_set(site, &["--values", &files[0], "--values", &files[1]]);
    assert_eq!(found, expected.as_ref());
}

fn manifests(stage: &mut Stage) {
    let site = stage.site();
    let definitions =
        manifest::shipped().into_iter().filter(|object| object["kind"] == "CustomResourceDefinition");
    let mut before: Vec<_> = definitions.collect();
    let template =
        site.helm(&["template", "csi", &theirs(), "--namespace", NAMESPACE, "--no-hooks"]).expect_good();
    before.extend(objects(&template));
    for object in before.iter_mut().filter(|object| object["kind"] == "DaemonSet") {
        // As upstream's static file has it.
        object["metadata"]["name"] = json!("csi-secrets-store");
        object["spec"]["selector"]["matchLabels"] = json!({"app": "csi-secrets-store"});
        object["spec"]["template"]["metadata"]["labels"] = json!({"app": "csi-secrets-store"});
    }
    let list = json!({"apiVersion": "v1", "kind": "List", "items": before}).to_string();
    let file = site.directory.join("before.json");
    std::fs::write(&file, list).expect("the site takes files");
    let file = file.to_str().expect("paths of tests are texts");
    site.kubectl(&["apply", "-f", file]).expect_good();
    let earlier = Snapshot::take(site);
    site.kubectl(&["apply", "-k", manifest::DEPLOY]).expect_good();
    let path = format!("/apis/apps/v1/namespaces/{NAMESPACE}/daemonsets/csi-secrets-store");
    assert_eq!(Snapshot::take(site).uid(&path), earlier.uid(&path), "in place");
    let found = site.admin.get(&path).expect("it is there");
    assert_eq!(found["spec"]["template"]["spec"]["containers"].as_array().map(Vec::len), Some(1), "{found}");
}

/// A cluster with the upstream chart's objects, and a class of somebody's; returns which DaemonSet it is.
fn install_upstream(site: &Site) -> String {
    // As the upstream chart's Job applies them: they are no release's.
    for definition in manifest::shipped().iter().filter(|object| object["kind"] == "CustomResourceDefinition")
    {
        site.admin.apply(definition);
    }
    until("classes are served", || {
        site.admin.get("/apis/secrets-store.csi.x-k8s.io/v1/secretproviderclasses").is_some()
    });
    site.admin.apply(&class("default", "one", &["foo"]));
    let told = site.helm(&[
        "install",
        RELEASE,
        &theirs(),
        "--namespace",
        NAMESPACE,
        "--values",
        &values("upstream-e2e.yaml"),
    ]);
    told.expect_good();
    // What only an upgrade leaves behind.
    upgrade(site, RELEASE, &theirs(), &["--values", &values("upstream-e2e.yaml")]);
    Snapshot::take(site).uid(&daemon_set_path()).expect("it was installed").to_owned()
}

/// Everything of the release's manifest is there, and nothing besides but definitions, what hooks have left, and what
/// comes of a DaemonSet; the DaemonSet is the one that it was, and so are the classes.
fn expect_whole(site: &Site, set: &str) {
    let manifest = objects(&site.helm(&["get", "manifest", RELEASE, "--namespace", NAMESPACE]).expect_good());
    let expected: BTreeSet<String> = manifest.iter().map(kinds::path_of).collect();
    let accounted = |path: &&str| {
        let others = [
            "/customresourcedefinitions/",
            "/pods/",
            "/controllerrevisions/",
            "sh.helm.release",
            "-upgrade-crds",
            "-keep-crds",
        ];
        !others.iter().any(|text| path.contains(text))
    };
    let found = Snapshot::take(site);
    let there: BTreeSet<String> = found.paths().filter(accounted).map(str::to_owned).collect();
    let expected = expected.into_iter().filter(|path| accounted(&path.as_str())).collect::<BTreeSet<_>>();
    assert_eq!(there, expected);
    assert_eq!(
        found.uid(&daemon_set_path()),
        Some(set),
        "changed in place, so that its pods are replaced one by one"
    );
    expect_classes(site);
}

fn expect_classes(site: &Site) {
    assert!(site.admin.get(&kinds::class("default", "one")).is_some(), "a class has gone");
}

fn theirs() -> String {
    format!("{FILES}/upstream")
}

const DEFINITIONS: [&str; 2] = [
    "secretproviderclasses.secrets-store.csi.x-k8s.io",
    "secretproviderclasspodstatuses.secrets-store.csi.x-k8s.io",
];
