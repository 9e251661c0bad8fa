//! What others do to the operator's objects, to its API server and to itself.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Case;
use crate::manifest;
use crate::operand;
use crate::stage::{A_WHILE, LEASE, NAMESPACE, Stage};
use e2e::kinds;
use e2e::operator::ACCOUNT;
use e2e::patience::{throughout, until, until_some};

/// See the sentences.
pub const CASES: &[Case] = &[
    Case { sentence: "whatever somebody changes of the driver's objects is put right", play: changed },
    Case { sentence: "whatever somebody deletes of the driver's objects is made again", play: gone },
    Case { sentence: "labels and annotations of others stay through repairs", play: labels },
    Case { sentence: "while nothing happens, nothing is written, and little memory is held", play: quiet },
    Case {
        sentence: "of two operators one works, and the other takes over when that ends in order",
        play: handed_over,
    },
    Case { sentence: "of two operators the other takes over when one is killed", play: taken_over },
    Case {
        sentence: "an operator that is killed while it installs is continued by the next",
        play: killed_installing,
    },
    Case {
        sentence: "an operator that is killed while it removes is continued by the next",
        play: killed_removing,
    },
    Case {
        sentence: "what changed while the API server was away for two minutes is done once it is back",
        play: away,
    },
    Case { sentence: "must-gather collects what explains it all, and no Secret", play: gathered },
    Case {
        sentence: "must-gather finds the operator in whichever namespace it is",
        play: gathered_elsewhere,
    },
];

fn changed(stage: &mut Stage) {
    stage.install();
    let (mut count, mut longest) = (0, Duration::ZERO);
    for piece in operand::pieces() {
        let Some(meddling) = &piece.meddling else { continue };
        let before = stage.admin.get(&piece.path).expect("it is installed");
        stage.admin.patch(&piece.path, meddling);
        let begun = Instant::now();
        until(&format!("{} is put right", piece.kind), || {
            stage.admin.get(&piece.path).is_some_and(|now| now[piece.field] == before[piece.field])
        });
        longest = longest.max(begun.elapsed());
        count += 1;
    }
    stage.remark(format!("{count} objects, the slowest after {} ms", longest.as_millis()));
    stage.is_installed();
}

fn gone(stage: &mut Stage) {
    stage.install();
    for piece in operand::pieces() {
        let before = stage.admin.get(&piece.path).expect("it is installed");
        stage.admin.delete(&piece.path);
        until(&format!("{} is made again", piece.kind), || {
            stage.admin.get(&piece.path).is_some_and(|now| {
                now["metadata"]["uid"] != before["metadata"]["uid"] && now[piece.field] == before[piece.field]
            })
        });
    }
    stage.is_on_every_node();
    stage.is_installed();
}

fn labels(stage: &mut Stage) {
    stage.install();
    let note = json!({"metadata": {"labels": {"team": "shop"}, "annotations": {"example.com/note": "ours"}}});
    for piece in operand::pieces() {
        stage.admin.patch(&piece.path, &note);
        if let Some(meddling) = &piece.meddling {
            let before = stage.admin.get(&piece.path).expect("it is installed")[piece.field].take();
            stage.admin.patch(&piece.path, meddling);
            until(&format!("{} is put right", piece.kind), || {
                stage.admin.get(&piece.path).is_some_and(|now| now[piece.field] == before)
            });
        }
        let now = stage.admin.get(&piece.path).expect("it is still there");
        assert_eq!(now["metadata"]["labels"]["team"], "shop", "{}", piece.kind);
        assert_eq!(now["metadata"]["annotations"]["example.com/note"], "ours", "{}", piece.kind);
    }
    let profile = "security.openshift.io/csi-ephemeral-volume-profile";
    let driver = operand::CSI_DRIVER;
    assert_eq!(stage.csi_driver()["metadata"]["labels"][profile], "restricted");
    stage.admin.patch(driver, &json!({"metadata": {"labels": {profile: "baseline"}}}));
    throughout(A_WHILE / 2, "the profile is the administrator's", || {
        stage.csi_driver()["metadata"]["labels"][profile] == "baseline"
    });
    stage.admin.patch(driver, &json!({"metadata": {"labels": {profile: null}}}));
    until("there is a profile", || stage.csi_driver()["metadata"]["labels"][profile] == "restricted");
}

fn quiet(stage: &mut Stage) {
    stage.install();
    stage.is_on_every_node();
    stage.is_installed();
    let versions = |stage: &Stage| -> Vec<Value> {
        let pieces = operand::pieces().into_iter().map(|piece| stage.admin.get(&piece.path));
        let all = pieces.chain([stage.driver()]);
        all.map(|object| object.expect("it is installed")["metadata"]["resourceVersion"].take()).collect()
    };
    // The status of the last pod may still be on its way.
    let mut settled = versions(stage);
    until("everything has come to rest", || {
        thread::sleep(A_WHILE / 4);
        let now = versions(stage);
        std::mem::replace(&mut settled, now.clone()) == now
    });
    throughout(A_WHILE * 2, "nothing is written", || versions(stage) == settled);
    let kibibytes = stage.operators[0].resident_kibibytes();
    assert!(kibibytes <= MOST_MEMORY_KIBIBYTES, "it holds {kibibytes} KiB");
    stage.remark(format!("the operator holds {kibibytes} KiB of memory"));
}

/// Who has the lease, and is not afraid to say so.
fn leader(stage: &Stage) -> Option<String> {
    let path = format!("/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/{LEASE}");
    let holder = stage.admin.get(&path)?["spec"]["holderIdentity"].as_str()?.to_owned();
    (!holder.is_empty()).then_some(holder)
}

fn handed_over(stage: &mut Stage) {
    stage.install();
    let first = until_some("somebody leads", || leader(stage));
    stage.launch_another();
    throughout(A_WHILE, "the first leads", || leader(stage).as_ref() == Some(&first));
    let begun = Instant::now();
    stage.stop_operator();
    until("the other leads", || leader(stage).is_some_and(|leader| leader != first));
    let took = begun.elapsed();
    assert!(
        took < LEASE_DURATION,
        "a lease that was given up is taken at once, not after {} ms",
        took.as_millis()
    );
    works(stage);
}

fn taken_over(stage: &mut Stage) {
    stage.install();
    let first = until_some("somebody leads", || leader(stage));
    stage.launch_another();
    stage.kill_operator();
    until("the other leads", || leader(stage).is_some_and(|leader| leader != first));
    works(stage);
}

/// Whoever leads now does what is asked.
fn works(stage: &Stage) {
    stage.ask_for(&json!({"managementState": "Managed", "logLevel": "Debug"}));
    until("the driver logs more", || {
        stage.admin.get(&operand::daemon_set()).and_then(|set| operand::argument(&set, "--v=")).as_deref()
            == Some("4")
    });
}

fn killed_installing(stage: &mut Stage) {
    let all = operand::pieces().len();
    for count in 0..=all {
        stage.start_operator();
        stage.ask_for(&json!({"managementState": "Managed"}));
        until(&format!("{count} objects are there"), || present(stage) >= count);
        stage.kill_operator();
        stage.start_operator();
        stage.is_installed();
        stage.is_on_every_node();
        stage.delete_driver();
        stage.is_uninstalled();
        stage.stop_operator();
    }
    stage.remark(format!("{} kills", all + 1));
}

fn killed_removing(stage: &mut Stage) {
    let all = operand::pieces().len();
    for count in (0..all).rev() {
        stage.install();
        stage.admin.delete(crate::stage::DRIVER);
        until(&format!("{count} objects are left"), || present(stage) <= count);
        stage.kill_operator();
        stage.start_operator();
        until("the object is gone", || stage.driver().is_none());
        stage.is_uninstalled();
        stage.stop_operator();
    }
    stage.remark(format!("{all} kills"));
}

fn present(stage: &Stage) -> usize {
    operand::pieces().iter().filter(|piece| stage.admin.get(&piece.path).is_some()).count()
}

fn away(stage: &mut Stage) {
    stage.install();
    stage.admin.delete(&operand::pieces()[0].path);
    stage.control_plane.api_server.stop();
    thread::sleep(OUTAGE);
    stage.control_plane.api_server.start_again();
    // By now its controllers try so seldom that they, too, are what is waited for.
    stage.control_plane.start_controllers();
    stage.ask_for(&json!({"managementState": "Managed", "logLevel": "Debug"}));
    // As kubelet does: with the times of this test the lease was over before the API server was back.
    let mut operator = stage.operators.remove(0);
    let ended = operator.ends();
    stage.keep(operator);
    stage.start_operator();
    works(stage);
    stage.is_installed();
    stage.remark(format!("without its lease the operator ended: {ended}"));
}

fn gathered(stage: &mut Stage) {
    stage.install();
    let secret = "c2hvcC1wYXNzd29yZA";
    stage.admin.apply(&json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"namespace": NAMESPACE, "name": "registry"},
        "stringData": {"password": "shop-password"},
    }));
    stage.admin.apply(&json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"namespace": NAMESPACE, "name": "notes"},
        "data": {"note": "shop-password"},
    }));
    let output = stage.directory.join("gathered");
    let told = stage.gather(&output);
    assert!(told.contains(" files are in "), "{told}");
    let mut found = Vec::new();
    files(&output, &mut found);
    for wanted in [
        "cluster/clustercsidrivers.operator.openshift.io.yaml",
        "cluster/csidrivers.storage.k8s.io.yaml",
        "cluster/clusterroles/secretproviderclasses-role.yaml",
        "namespace/daemonsets.apps.yaml",
        "namespace/leases.coordination.k8s.io.yaml",
        "namespace/events.txt",
    ] {
        assert!(found.iter().any(|file| file.ends_with(wanted)), "{wanted} is missing among {found:?}");
    }
    for file in &found {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        assert!(!text.contains(secret) && !text.contains("shop-password"), "{} has a secret", file.display());
    }
    let errors = std::fs::read_to_string(output.join("errors.txt")).expect("it is always there");
    // No kubelet has any logs here; everything else can be read.
    let others: Vec<&str> = errors.lines().filter(|line| !line.starts_with("logs ")).collect();
    assert!(others.is_empty(), "{others:?}");
    stage.remark(told.trim().replace(&output.display().to_string(), "the directory"));
}

fn gathered_elsewhere(stage: &mut Stage) {
    stage.admin.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ELSEWHERE}}));
    let mut deployment = manifest::deployment();
    stage.admin.delete(&kinds::deployment(NAMESPACE, ACCOUNT));
    deployment["metadata"]["namespace"] = json!(ELSEWHERE);
    deployment["spec"]["replicas"] = json!(0);
    stage.admin.apply(&deployment);
    let output = stage.directory.join("gathered-elsewhere");
    stage.gather(&output);
    stage.admin.delete(&kinds::deployment(ELSEWHERE, ACCOUNT));
    let found = output.join(format!("cluster/namespaces/{ELSEWHERE}.yaml"));
    assert!(found.exists(), "{} is missing", found.display());
    let deployments =
        std::fs::read_to_string(output.join("namespace/deployments.apps.yaml")).expect("it is kept");
    assert!(deployments.contains(&format!("namespace: {ELSEWHERE}")), "{deployments}");
}

fn files(directory: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

/// Where OpenShift has it.
const ELSEWHERE: &str = "openshift-cluster-csi-drivers";
/// What an operator may cost that does nothing most of the time. What ships is the static build, which holds less than
/// this one with its C library.
const MOST_MEMORY_KIBIBYTES: u64 = 16 << 10;
/// See `operator.rs`.
const LEASE_DURATION: Duration = Duration::from_secs(3);
/// As long as a control plane takes that is made anew on another machine.
const OUTAGE: Duration = Duration::from_secs(120);
