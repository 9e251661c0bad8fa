//! `kubectl apply -k deploy`, and that it gives what the chart gives.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Case;
use super::chart::{daemon_set, driver, flags, values};
use crate::manifest::DEPLOY;
use crate::site::{Site, Snapshot, objects};
use crate::stage::Stage;
use e2e::kinds;

/// See the sentences.
pub const CASES: &[Case] = &[
    Case { sentence: "one command installs everything, and another removes it", play: applied },
    Case { sentence: "the base is what the chart makes of no values", play: same_as_chart },
    Case { sentence: "the components add what they say", play: components },
];

fn applied(stage: &mut Stage) {
    let site = stage.site();
    site.kubectl(&["apply", "-k", DEPLOY]).expect_good();
    let expected = objects(&site.kubectl(&["kustomize", DEPLOY]).expect_good());
    for object in &expected {
        assert!(site.admin.get(&kinds::path_of(object)).is_some(), "{object}");
    }
    site.kubectl(&["delete", "-k", DEPLOY, "--wait=false"]).expect_good();
    e2e::patience::until("nothing is left", || Snapshot::take(site).is_empty());
}

fn same_as_chart(stage: &mut Stage) {
    let site = stage.site();
    let base = compared(objects(&site.kubectl(&["kustomize", DEPLOY]).expect_good()));
    let chart = compared(site.render(&[]));
    assert_eq!(base, chart);
}

fn components(stage: &mut Stage) {
    let site = stage.site();
    let with = |components: &[&str]| compared(kustomized(site, components));
    let base = with(&[]);
    let sync = with(&["sync"]);
    assert_eq!(sync, compared(site.render(&["--values", &values("sync.yaml")])));
    assert_eq!(sync.len(), base.len() + 2);
    // Of the three containers only what the driver is told differs from the chart, by what both default to.
    let verbosity = ["--set", "sidecars.enabled=true"];
    assert_eq!(with(&["sidecars"]), compared(site.render(&verbosity)));
    let set = daemon_set(site, &verbosity).expect("it is rendered");
    let containers = set["spec"]["template"]["spec"]["containers"].as_array().expect("a list").clone();
    let names: Vec<&str> = containers.iter().filter_map(|container| container["name"].as_str()).collect();
    assert_eq!(names, ["node-driver-registrar", "secrets-store", "liveness-probe"]);
    let monitoring = with(&["monitoring"]);
    assert_eq!(monitoring, compared(site.render(&["--values", &values("monitoring.yaml")])));
    let policy = with(&["networkpolicy"]);
    assert_eq!(policy, compared(site.render(&["--values", &values("networkpolicy.yaml")])));
    assert_eq!(policy.len(), base.len() + 1);
    for object in kustomized(site, &["sync", "sidecars", "monitoring", "networkpolicy"]) {
        site.examine(&object).unwrap_or_else(|refusal| panic!("{refusal}: {object}"));
    }
}

/// What a kustomization of somebody's own makes of the base and the components.
fn kustomized(site: &Site, components: &[&str]) -> Vec<Value> {
    let directory = site.directory.join("kustomization");
    std::fs::create_dir_all(&directory).expect("the site takes directories");
    // Paths have to be relative.
    let up = "../".repeat(directory.components().count() - 1);
    let deploy = format!("{up}{}", DEPLOY.trim_start_matches('/'));
    let components: Vec<String> = components.iter().map(|name| format!("{deploy}/{name}")).collect();
    let content = json!({"resources": [deploy], "components": components});
    std::fs::write(directory.join("kustomization.yaml"), content.to_string()).expect("it takes files");
    let directory = directory.to_str().expect("paths of tests are texts");
    objects(&site.kubectl(&["kustomize", directory]).expect_good())
}

/// The objects by kind and name, without what differs on purpose: names and labels that follow from a release, the
/// affinity that only the chart has, the rollout that is the default, and the chart's keeping of definitions. The
/// driver's arguments are there as the driver reads them.
fn compared(objects: Vec<Value>) -> BTreeMap<String, String> {
    let mut compared = BTreeMap::new();
    for mut object in objects {
        let kind = object["kind"].as_str().unwrap_or_default().to_owned();
        let mut name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let metadata = object["metadata"].as_object_mut().expect("an object has metadata");
        for field in ["labels", "annotations"] {
            let Some(entries) = metadata.get_mut(field).and_then(Value::as_object_mut) else { continue };
            entries.retain(|key, _| key.starts_with("rbac.authorization") || key == "grafana_dashboard");
            if entries.is_empty() {
                metadata.remove(field);
            }
        }
        if ["DaemonSet", "PodMonitor", "PrometheusRule", "ConfigMap", "NetworkPolicy"]
            .contains(&kind.as_str())
        {
            name = String::new();
            metadata.remove("name");
        }
        let mut more = String::new();
        match kind.as_str() {
            "DaemonSet" => {
                more = format!("{:?}", flags(&driver(&object)));
                let spec = object["spec"].as_object_mut().expect("it has a spec");
                spec.remove("selector");
                spec["template"]["metadata"]["labels"].take();
                let pod = spec["template"]["spec"].as_object_mut().expect("it has one");
                pod.remove("affinity");
                let containers = pod["containers"].as_array_mut().expect("a list");
                containers.sort_by_key(|container| container["name"].to_string());
                for container in containers.iter_mut().filter(|one| one["name"] == "secrets-store") {
                    container["args"].take();
                }
                for list in pod["containers"].as_array_mut().into_iter().flatten() {
                    let mounts = list["volumeMounts"].as_array_mut().expect("a list");
                    // Which of the two is called what is no matter.
                    mounts.iter_mut().for_each(|mount| drop(mount["name"].take()));
                    mounts.sort_by_key(Value::to_string);
                }
                let volumes = pod["volumes"].as_array_mut().expect("a list");
                volumes.iter_mut().for_each(|volume| drop(volume["name"].take()));
                volumes.sort_by_key(Value::to_string);
            }
            // The manifests are ready for rotation; the chart is so when it is asked to be.
            "CSIDriver" => drop(object["spec"]["requiresRepublish"].take()),
            "PodMonitor" => drop(object["spec"]["selector"].take()),
            "NetworkPolicy" => drop(object["spec"]["podSelector"].take()),
            _ => {}
        }
        compared.insert(format!("{kind} {name}"), format!("{object:#} {more}"));
    }
    compared
}
