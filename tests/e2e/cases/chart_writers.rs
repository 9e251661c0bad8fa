//! Values as people write them: for the upstream chart, in a chart of their own, by Terraform, with sections left empty.

use std::path::Path;

use serde_json::{Value, json};

use super::Case;
use super::chart::{daemon_set, images, values};
use crate::site::{CHART, NAMESPACE, RELEASE, objects};
use crate::stage::Stage;
use kit::yaml;

/// See the sentences.
pub const CASES: &[Case] = &[
    Case {
        sentence: "a chart that depends on this one may call the condition what it likes",
        play: condition,
    },
    Case { sentence: "what begins with x- holds anchors and says nothing by itself", play: anchors },
    Case { sentence: "a boolean or a number in quotes is what is written in them", play: quoted },
    Case { sentence: "a value that is null is as good as absent", play: nulls },
    Case {
        sentence: "upstream's image is recognised under any host, and what to do is said",
        play: upstream_image,
    },
    Case { sentence: "a digest may stand behind a tag, or in its place", play: digests },
];

fn condition(stage: &mut Stage) {
    let site = stage.site();
    let alone = kinds(&site.render(&[]));
    for name in CONDITIONS {
        let parent = site.directory.join(format!("parent-{name}"));
        let dependency = parent.join("charts/secrets-store-csi-driver");
        std::fs::create_dir_all(dependency.parent().expect("it has one"))
            .expect("the site takes directories");
        copy(Path::new(CHART), &dependency);
        let chart = json!({
            "apiVersion": "v2",
            "name": "platform",
            "version": "0.1.0",
            "dependencies": [{
                "name": "secrets-store-csi-driver",
                "version": "*",
                "condition": format!("secrets-store-csi-driver.{name}"),
            }],
        });
        let write = |file: &str, content: &Value| {
            std::fs::write(parent.join(file), content.to_string()).expect("the parent takes files");
        };
        write("Chart.yaml", &chart);
        let rendered = |value: bool| {
            write(
                "values.yaml",
                &json!({
                    "global": {"registry": "registry.example"},
                    "secrets-store-csi-driver": {name: value, "x-note": "ours", "windows": null},
                }),
            );
            let parent = parent.to_str().expect("paths of tests are texts");
            let told = site.helm(&["template", RELEASE, parent, "--namespace", NAMESPACE]);
            kinds(&objects(&told.expect_good()))
        };
        assert_eq!(rendered(true), alone, "{name}");
        assert_eq!(rendered(false), Vec::<String>::new(), "{name}");
    }
}

fn anchors(stage: &mut Stage) {
    let set = daemon_set(stage.site(), &["--values", &values("anchors.yaml")]).expect("it is rendered");
    assert_eq!(set["metadata"]["labels"]["team"], "platform");
    let template = &set["spec"]["template"];
    assert_eq!(template["metadata"]["labels"]["team"], "platform");
    assert_eq!(template["spec"]["containers"][0]["resources"]["limits"]["memory"], "64Mi");
    assert!(!set.to_string().contains("two"), "{set}");
}

fn quoted(stage: &mut Stage) {
    let [quoted, plain] =
        ["quoted.yaml", "unquoted.yaml"].map(|file| stage.site().render(&["--values", &values(file)]));
    assert_eq!(quoted, plain);
    assert_eq!(
        kinds(&quoted),
        [
            "CSIDriver",
            "ClusterRole",
            "ClusterRole",
            "ClusterRole",
            "ClusterRole",
            "ClusterRoleBinding",
            "DaemonSet",
            "NetworkPolicy",
            "PrometheusRule",
            "ServiceAccount",
        ],
        "neither definitions nor the role for Secrets nor a dashboard"
    );
}

/// Each value by itself, sections and what is in them. Helm takes a null for the wish to have no such value, and so do
/// `--reuse-values` and a file whose section has every line commented out.
fn nulls(stage: &mut Stage) {
    let site = stage.site();
    let defaults = site.render(&[]);
    let [all] = &yaml::read(&Path::new(CHART).join("values.yaml"))[..] else { panic!("one document") };
    let mut changed = Vec::new();
    for path in paths(all, "") {
        // Nothing below this is read.
        if path.starts_with("windows.") && path != "windows.enabled" {
            continue;
        }
        if site.render(&["--set", &format!("{path}=null")]) != defaults {
            changed.push(path);
        }
    }
    changed
        .retain(|path| !path.starts_with("linux.affinity.") && !path.starts_with("linux.driver.resources."));
    assert_eq!(
        changed,
        [
            "linux.additionalProvidersDirs",
            "linux.affinity",
            "linux.driver.resources",
            "linux.tolerations",
            "maxCallRecvMsgSize",
            "providerHealthCheckInterval",
        ],
        "of these, none is a choice; all others have their defaults"
    );
}

fn upstream_image(stage: &mut Stage) {
    let site = stage.site();
    for repository in [
        "registry.mine.example/mirror/csi-secrets-store/driver",
        "000000000000.dkr.ecr.eu-central-1.amazonaws.com/registryk8sio/csi-secrets-store/driver",
        "registry.mine.example:5000/csi-secrets-store/driver",
        "registry.mine.example/csi-secrets-store/driver-crds",
        "mcr.microsoft.com/oss/kubernetes-csi/secrets-store/driver",
        "registry.mine.example/mirrored-csi-secrets-store-driver",
        "registry.mine.example/registry.k8s.io_csi-secrets-store_driver",
    ] {
        let setting = format!("linux.image.repository={repository}");
        let complaint = site.helm(&["template", RELEASE, CHART, "--set", &setting]).expect_bad();
        for wanted in
            [repository, "does not know this driver's flags", OWN, "linux.image.isThisDriver to true"]
        {
            assert!(complaint.contains(wanted), "no {wanted:?} in {complaint}");
        }
        let trusted = [&*setting, "linux.image.isThisDriver=true", "linux.image.tag=v9"];
        let settings = trusted.iter().flat_map(|setting| ["--set", setting]).collect::<Vec<_>>();
        assert_eq!(images(site, &settings), [format!("{repository}:v9")]);
    }
    for repository in [
        "registry.mine.example/platform/secrets-store-csi-driver",
        "registry.mine.example/secrets-store-driver-of-ours",
        "registry.mine.example/csi-secrets-store/driver/rust",
    ] {
        let settings =
            ["--set", &format!("linux.image.repository={repository}"), "--set", "linux.image.tag=v9"];
        assert_eq!(images(site, &settings), [format!("{repository}:v9")]);
    }
    // Nobody's mirror, but what a copy of upstream's own values says.
    for registry in ["registry.k8s.io", "k8s.gcr.io"] {
        let setting = format!("linux.image.repository={registry}/csi-secrets-store/driver");
        assert_eq!(images(site, &["--set", &setting, "--set", "linux.image.tag=v1.6.1"]), [OWN]);
    }
}

fn digests(stage: &mut Stage) {
    let digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    assert_eq!(
        images(stage.site(), &["--values", &values("tag-with-digest.yaml")]),
        [
            "registry.k8s.io/sig-storage/csi-node-driver-registrar:v2.16.0@sha256:\
             0123456789abcdef0123456789abcdef"
                .to_owned(),
            format!("registry.example/ours:v1@{digest}"),
            format!("registry.k8s.io/sig-storage/livenessprobe@{digest}"),
        ]
    );
}

/// The kinds of the objects, sorted.
fn kinds(objects: &[Value]) -> Vec<String> {
    let kinds = objects.iter().map(|object| object["kind"].as_str().unwrap_or_default().to_owned());
    let mut kinds: Vec<String> = kinds.collect();
    kinds.sort();
    kinds
}

/// Every key of the tree, by its path with dots, sorted.
fn paths(tree: &Value, above: &str) -> Vec<String> {
    let mut all = Vec::new();
    for (name, value) in tree.as_object().into_iter().flatten() {
        let path = if above.is_empty() { name.clone() } else { format!("{above}.{name}") };
        all.extend(paths(value, &path));
        all.push(path);
    }
    all.sort();
    all
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap_or_else(|error| panic!("{}: {error}", to.display()));
    for entry in std::fs::read_dir(from).unwrap_or_else(|error| panic!("{}: {error}", from.display())) {
        let entry = entry.expect("an entry can be read").path();
        let copied = to.join(entry.file_name().expect("an entry has a name"));
        if entry.is_dir() {
            copy(&entry, &copied);
        } else {
            std::fs::copy(&entry, &copied).unwrap_or_else(|error| panic!("{}: {error}", entry.display()));
        }
    }
}

/// Names that people give to a condition.
const CONDITIONS: [&str; 12] = [
    "enabled",
    "enable",
    "install",
    "installed",
    "create",
    "deploy",
    "active",
    "use",
    "include",
    "isWanted",
    "secretsStoreCsiDriver",
    "secrets-store-enabled",
];
/// This driver's image by its default name.
const OWN: &str = concat!("localhost/secrets-store-csi-driver:v", env!("CARGO_PKG_VERSION"));
