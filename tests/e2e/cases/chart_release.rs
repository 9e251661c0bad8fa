//! What `helm install` from the checkout gives, and what `helm uninstall` leaves.

use std::collections::HashMap;
use std::path::PathBuf;

use super::Case;
use super::chart::values;
use crate::site::{CHART, DAEMON_SET, Host, NAMESPACE, PODS, RELEASE, Site, Snapshot};
use crate::stage::Stage;
use crate::workloads::{DRIVER, Workload, class};
use e2e::control_plane::free_ports;
use e2e::kinds;
use e2e::patience::{until, until_some};
use e2e::web::Web;
use kit::world::Pod;

/// See the sentences.
pub const CASES: &[Case] = &[
    Case {
        sentence: "one command installs it, its container registers itself, and a secret is mounted on the node",
        play: mounts,
    },
    Case {
        sentence: "uninstalling leaves the definitions and everybody's classes, and nothing else",
        play: gone,
    },
    Case {
        sentence: "a release of another name leaves the definitions alone until they are handed over",
        play: handed,
    },
    Case {
        sentence: "with everything turned on it is installed, and removed without a rest",
        play: everything,
    },
];

fn mounts(stage: &mut Stage) {
    let site = stage.site();
    let [health, metrics] = free_ports::<2>();
    let settings = [
        format!("livenessProbe.port={health}"),
        format!("linux.metricsAddr=127.0.0.1:{metrics}"),
        "enableSecretRotation=true".to_owned(),
    ];
    let settings = settings.iter().flat_map(|setting| ["--set", setting.as_str()]).collect::<Vec<_>>();
    install(site, RELEASE, &settings);
    let selector = "/api/v1/namespaces/kube-system/pods?labelSelector=app%3Dsecrets-store-csi-driver";
    let pod = until_some("the DaemonSet has a pod on the node", || site.admin.list(selector).pop());

    let host = Host::start();
    let driver = host.run(site, &pod);
    driver.wait_for_log("ready");
    let web = Web::plain();
    for (what, page) in [("the liveness probe is answered", "healthz"), ("the rollout may go on", "readyz")] {
        let page = format!("http://127.0.0.1:{health}/{page}");
        until(what, || web.send("GET", &page, &[], None).is_ok_and(|answer| answer.code == 200));
    }
    host.watcher.await_registration(DRIVER);
    assert_eq!(host.watcher.endpoint_of(DRIVER).as_deref(), Some(SOCKET));
    let page = web.page(&format!("http://127.0.0.1:{metrics}/metrics"));
    assert!(page.contains("secrets_store_csi_build_info"), "{page}");

    let volume = volume(site);
    let on_node = host.path(&volume.target);
    std::fs::create_dir_all(on_node.parent().expect("a volume is in a directory")).expect("it can be made");
    let kubelet = host.kubelet(SOCKET);
    kubelet.publish(&volume).unwrap_or_else(|status| panic!("{status}; the log:\n{}", driver.log()));
    let content = std::fs::read_to_string(on_node.join("foo"));
    assert_eq!(content.expect("what the container has mounted is on the node"), "secret");
    kubelet.unpublish(&volume).unwrap_or_else(|status| panic!("{status}"));
    assert!(!on_node.exists(), "it is gone from the node");
    driver.stop();
    site.admin.delete(&kinds::core(&volume.namespace, "pods", &volume.name));
    site.admin.delete(&kinds::class(&volume.namespace, &volume.class));
}

/// The volume of a pod that is there, with a class that is there.
fn volume(site: &Site) -> Pod {
    site.admin.apply(&class("default", "one", &["foo"]));
    let pod = site.admin.apply(&Workload::named("default", "reader").mounting("one").pod());
    let uid = pod["metadata"]["uid"].as_str().expect("the API server gives one").to_owned();
    Pod {
        name: "reader".to_owned(),
        namespace: "default".to_owned(),
        class: "one".to_owned(),
        volume_id: "csi-one".to_owned(),
        // As the driver and kubelet call it, in their own namespaces of mounts.
        target: PathBuf::from(format!("{PODS}/{uid}/volumes/kubernetes.io~csi/one/mount")),
        uid,
        group: None,
        attributes: HashMap::new(),
        secrets: HashMap::new(),
    }
}

fn gone(stage: &mut Stage) {
    let site = stage.site();
    let before = Snapshot::take(site);
    assert!(before.is_empty(), "{before:?}");
    install(site, RELEASE, &[]);
    site.admin.apply(&class("default", "one", &["foo"]));
    uninstall(site, RELEASE);
    until("the pods are gone", || Snapshot::take(site).without("/customresourcedefinitions/").is_empty());
    assert_eq!(Snapshot::take(site).paths().count(), 2, "the definitions stay");
    assert!(site.admin.get(&kinds::class("default", "one")).is_some(), "and so do the classes");
    // Once more, over what has stayed.
    install(site, RELEASE, &[]);
    assert!(site.admin.get(&kinds::class("default", "one")).is_some());
    uninstall(site, RELEASE);
}

fn handed(stage: &mut Stage) {
    let site = stage.site();
    install(site, RELEASE, &[]);
    uninstall(site, RELEASE);
    let definitions = Snapshot::take(site).paths().filter(|path| path.contains("/custom")).count();
    assert_eq!(definitions, 2);
    let notes = install(site, "another", &[]);
    assert!(notes.contains("These definitions were in the cluster before"), "{notes}");
    assert!(
        !site.helm(&["get", "manifest", "another", "-n", NAMESPACE]).expect_good().contains("CustomResource")
    );
    assert_eq!(hand_over(site, &notes), 2, "{notes}");
    let notes = upgrade(site, "another", CHART, &[]);
    assert!(!notes.contains("These definitions"), "{notes}");
    assert!(
        site.helm(&["get", "manifest", "another", "-n", NAMESPACE]).expect_good().contains("CustomResource")
    );
    uninstall(site, "another");
    until("the definitions alone are left", || {
        Snapshot::take(site).paths().all(|path| path.contains("/customresourcedefinitions/"))
    });
    assert_eq!(Snapshot::take(site).paths().count(), 2);
}

fn everything(stage: &mut Stage) {
    let site = stage.site();
    let notes = install(site, RELEASE, &["--values", &values("everything.yaml")]);
    assert!(notes.contains("linux.crds.resources and linux.crds.podLabels"), "{notes}");
    assert!(notes.contains("at the earliest 1h30m"), "{notes}");
    assert_eq!(
        Snapshot::take(site).paths().filter(|path| path.contains("monitoring.coreos.com/v1")).count(),
        2
    );
    let notes = upgrade(site, RELEASE, CHART, &["--values", &values("everything.yaml")]);
    assert!(!notes.contains("These definitions"), "they are this release's: {notes}");
    uninstall(site, RELEASE);
    until("the definitions alone are left", || {
        Snapshot::take(site).paths().all(|path| path.contains("/customresourcedefinitions/"))
    });
}

/// Installs the chart; returns its notes.
pub fn install(site: &Site, release: &str, settings: &[&str]) -> String {
    let told = site.helm(&[&["install", release, CHART, "--namespace", NAMESPACE], settings].concat());
    told.expect_good()
}

/// Changes the release; returns the chart's notes.
pub fn upgrade(site: &Site, release: &str, chart: &str, settings: &[&str]) -> String {
    let told = site.helm(&[&["upgrade", release, chart, "--namespace", NAMESPACE], settings].concat());
    told.expect_good()
}

/// Removes the release.
pub fn uninstall(site: &Site, release: &str) {
    site.helm(&["uninstall", release, "--namespace", NAMESPACE]).expect_good();
}

/// Runs the commands that the notes give for what was there before; returns how many there are.
pub fn hand_over(site: &Site, notes: &str) -> usize {
    let commands = notes.lines().filter_map(|line| line.strip_prefix("  kubectl "));
    let commands: Vec<&str> = commands.filter(|command| !command.contains("daemonset/")).collect();
    for command in &commands {
        site.kubectl(&command.split_whitespace().collect::<Vec<_>>()).expect_good();
    }
    commands.len()
}

/// The path of the DaemonSet of [`RELEASE`].
pub fn daemon_set_path() -> String {
    format!("/apis/apps/v1/namespaces/{NAMESPACE}/daemonsets/{DAEMON_SET}")
}

/// The driver's socket, as kubelet finds it.
const SOCKET: &str = "/var/lib/kubelet/plugins/csi-secrets-store/csi.sock";
