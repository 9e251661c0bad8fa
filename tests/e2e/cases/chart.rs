//! What the chart makes of values, and which it refuses.

use std::path::{Path, PathBuf};

use config::DriverFlags;
use serde_json::{Value, json};

use super::Case;
use crate::site::{CASES as FILES, CHART, NAMESPACE, Site, arguments};
use crate::stage::Stage;

/// See the sentences.
pub const CASES: &[Case] = &[
    Case {
        sentence: "every table of values passes helm's lint, and the API server takes all objects",
        play: good,
    },
    Case { sentence: "a value that is wrong is refused by its name", play: wrong },
    Case {
        sentence: "the driver understands the arguments that every table of values gives it",
        play: understood,
    },
    Case { sentence: "each value arrives where it belongs", play: arrives },
    Case { sentence: "a values file of the upstream chart gives what it gives there", play: upstream },
    Case { sentence: "images are taken by tag or by digest, and never the upstream driver's", play: pinned },
    Case { sentence: "tokens go where no log shows them, where the cluster can do that", play: tokens },
];

fn good(stage: &mut Stage) {
    let site = stage.site();
    // The API server takes no pod whose service account is not there.
    site.admin.apply(&json!({
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"namespace": NAMESPACE, "name": "secrets-store-csi-driver"},
    }));
    for file in files("values") {
        let (name, path) = (name(&file), text(&file));
        site.helm(&["lint", "--strict", CHART, "--values", path]).expect_good();
        for object in site.render(&["--values", path]) {
            let kind = object["kind"].as_str().unwrap_or_default();
            // It is there.
            if kind != "ServiceAccount" {
                site.examine(&object).unwrap_or_else(|refusal| panic!("{name}: {kind}: {refusal}"));
            }
            if kind == "DaemonSet" {
                let pod = pod_of(&object);
                site.examine(&pod).unwrap_or_else(|refusal| panic!("{name}: a pod of it: {refusal}"));
            }
        }
    }
}

fn wrong(stage: &mut Stage) {
    let site = stage.site();
    for file in files("refused") {
        let content = std::fs::read_to_string(&file).expect("it was listed");
        let wanted = content.lines().next().and_then(|line| line.strip_prefix("# "));
        let wanted = wanted.unwrap_or_else(|| panic!("{}: the first line says what is said", name(&file)));
        let arguments = ["template", "r", CHART, "--values", text(&file)];
        let complaint = site.helm(&arguments).expect_bad();
        assert!(complaint.contains(wanted), "{}: no {wanted:?} in {complaint}", name(&file));
    }
}

fn understood(stage: &mut Stage) {
    for file in files("values") {
        if let Some(set) = daemon_set(stage.site(), &["--values", text(&file)]) {
            flags(&driver(&set));
        }
    }
}

fn arrives(stage: &mut Stage) {
    let everything = values("everything.yaml");
    let objects = stage.site().render(&["--values", &everything]);
    let named = |kind: &str| {
        let of_kind = objects.iter().filter(|object| object["kind"] == kind);
        of_kind.map(|object| object["metadata"]["name"].as_str().unwrap_or_default()).collect::<Vec<_>>()
    };
    assert_eq!(named("DaemonSet"), ["our-secrets-driver"]);
    assert_eq!(named("ConfigMap"), ["our-secrets-driver-dashboard"]);
    assert!(named("ClusterRole").contains(&"secretprovidersyncing-role"), "{objects:?}");
    for object in &objects {
        assert_eq!(object["metadata"]["labels"]["cost-center"], "42", "{object}");
        assert_eq!(object["metadata"]["labels"]["app"], "secrets", "{object}");
    }
    let set = objects.iter().find(|object| object["kind"] == "DaemonSet").expect("it was named");
    assert_eq!(
        arguments(&driver(set)),
        [
            "-v=5",
            "--log-format-json=true",
            "--endpoint=$(CSI_ENDPOINT)",
            "--nodeid=$(KUBE_NODE_NAME)",
            "--provider-volume=/opt/providers",
            "--additional-provider-volume-paths=/opt/providers,/opt/more-providers,\
             /etc/kubernetes/secrets-store-csi-providers",
            "--enable-secret-rotation=true",
            "--rotation-poll-interval=1h30m",
            "--metrics-addr=0.0.0.0:9090",
            "--provider-health-check=true",
            "--provider-health-check-interval=90s",
            "--max-call-recv-msg-size=8388608",
            "--kubelet-pods-dir=/opt/kubelet/pods",
            "--kubelet-registration-dir=/registration",
            "--kubelet-registration-path=/opt/kubelet/plugins/csi-secrets-store/csi.sock",
            "--health-addr=:9899",
            "--volume-size-limit=64Mi",
            "--max-concurrent-calls=300",
        ]
    );
    assert_eq!(set["spec"]["selector"]["matchLabels"], json!({"app": "secrets"}));
    assert_eq!(
        set["spec"]["updateStrategy"],
        json!({"type": "OnDelete", "rollingUpdate": {"maxUnavailable": 1}})
    );
    assert_eq!(set["metadata"]["annotations"], json!({"on-the-set": "yes"}));
    let (pod, template) = (&set["spec"]["template"]["spec"], &set["spec"]["template"]["metadata"]);
    assert_eq!(template["annotations"]["on-the-pod"], "yes");
    assert_eq!(template["labels"]["of-the-pod"], "yes");
    assert_eq!(pod["priorityClassName"], "system-node-critical");
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert_eq!(pod["imagePullSecrets"], json!([{"name": "pull-one"}, {"name": "pull-two"}]));
    assert_eq!(pod["nodeSelector"], json!({"kubernetes.io/os": "linux", "pool": "apps"}));
    assert_eq!(pod["tolerations"][0]["key"], "dedicated");
    let container = driver(set);
    let ports = container["ports"].as_array().expect("it has ports").iter();
    assert_eq!(ports.map(|port| &port["containerPort"]).collect::<Vec<_>>(), [9899, 9090]);
    assert!(container["env"].as_array().is_some_and(|env| env.iter().any(|one| one["name"] == "SECOND")));
    let seen = |list: &Value, field: &str| -> Vec<String> {
        let items = list.as_array().expect("a list").iter();
        items.map(|item| item[field].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(
        seen(&container["volumeMounts"], "mountPath"),
        [
            "/csi",
            "/registration",
            "/opt/kubelet/pods",
            "/opt/providers",
            "/opt/more-providers",
            "/etc/kubernetes/secrets-store-csi-providers",
            "/extra",
        ]
    );
    let policy = objects.iter().find(|object| object["kind"] == "NetworkPolicy").expect("it is enabled");
    assert_eq!(policy["spec"]["podSelector"]["matchLabels"]["app"], "secrets");
    let open = &policy["spec"]["ingress"];
    assert_eq!(open[0]["ports"], json!([{"protocol": "TCP", "port": 9090}]));
    assert_eq!(
        open[0]["from"][0]["podSelector"]["matchLabels"],
        json!({"app.kubernetes.io/name": "prometheus"})
    );
    assert_eq!(open[1], json!({"ports": [{"protocol": "TCP", "port": 9899}]}), "whoever probes has no label");
    assert_eq!(open.as_array().map(Vec::len), Some(2));
    let definitions = objects.iter().filter(|object| object["kind"] == "CustomResourceDefinition");
    for definition in definitions {
        let annotations = &definition["metadata"]["annotations"];
        assert_eq!(annotations["argocd.argoproj.io/sync-options"], "Prune=false");
        assert_eq!(annotations["helm.sh/resource-policy"], "keep");
    }
}

fn upstream(stage: &mut Stage) {
    let site = stage.site();
    let ours = site.render(&[]);
    let mut theirs = site.render(&["--values", &values("upstream-defaults.yaml")]);
    // The one number that differs on purpose.
    for object in theirs.iter_mut().filter(|object| object["kind"] == "DaemonSet") {
        let resources = &mut object["spec"]["template"]["spec"]["containers"][0]["resources"];
        assert_eq!(resources["requests"], json!({"cpu": "50m", "memory": "100Mi"}));
        resources["requests"] = json!({"cpu": "10m", "memory": "24Mi"});
    }
    assert_eq!(ours, theirs);
    let tested = site.render(&["--values", &values("upstream-e2e.yaml")]);
    let of_kind = |kind: &str| tested.iter().filter(|object| object["kind"] == kind).collect::<Vec<_>>();
    let [driver_object] = of_kind("CSIDriver")[..] else { panic!("there is one") };
    let spec = &driver_object["spec"];
    assert_eq!(spec["requiresRepublish"], true);
    assert_eq!(spec["tokenRequests"].as_array().map(Vec::len), Some(5));
    for definition in of_kind("CustomResourceDefinition") {
        assert_eq!(definition["metadata"]["annotations"]["myAnnotation"], "test");
    }
    let [set] = of_kind("DaemonSet")[..] else { panic!("there is one") };
    let arguments = arguments(&driver(set));
    assert!(arguments.contains(&"--rotation-poll-interval=30s".to_owned()), "{arguments:?}");
    // The role for Secrets does not depend on the others.
    let alone = site.render(&["--set", "rbac.install=false,syncSecret.enabled=true"]);
    let roles = alone.iter().filter(|object| object["kind"] == "ClusterRole");
    let names: Vec<&Value> = roles.map(|role| &role["metadata"]["name"]).collect();
    assert_eq!(names, ["secretprovidersyncing-role"]);
}

fn pinned(stage: &mut Stage) {
    let site = stage.site();
    let images = |file: &str| images(site, &["--values", &values(file)]);
    let own = concat!("localhost/secrets-store-csi-driver:v", env!("CARGO_PKG_VERSION"));
    assert_eq!(images("defaults.yaml"), [own]);
    assert_eq!(images("upstream-defaults.yaml"), [own]);
    let [registrar, probe] = ["csi-node-driver-registrar", "livenessprobe"]
        .map(|name| format!("registry.k8s.io/sig-storage/{name}"));
    assert_eq!(
        images("sidecars.yaml"),
        [format!("{registrar}:v2.16.0"), own.to_owned(), format!("{probe}:v2.18.0")]
    );
    let digest = format!("sha256:{}", "0123456789abcdef".repeat(4));
    assert_eq!(
        images("sidecars-by-digest.yaml"),
        [
            format!("{registrar}@{digest}"),
            format!("localhost/secrets-store-csi-driver@{digest}"),
            format!("{probe}@{digest}"),
        ]
    );
    assert_eq!(
        images("everything.yaml"),
        [format!("registry.example/platform/secrets-store-csi-driver@{digest}")]
    );
}

fn tokens(stage: &mut Stage) {
    let file = values("tokens.yaml");
    let site = stage.site();
    let hidden = |version: &str| {
        let objects = site.render(&["--values", &file, "--kube-version", version]);
        let driver = objects.iter().find(|object| object["kind"] == "CSIDriver").expect("it is rendered");
        driver["spec"]["serviceAccountTokenInSecrets"].clone()
    };
    assert_eq!(hidden("1.34.9"), Value::Null, "the API server would refuse it");
    assert_eq!(hidden("1.35.0"), true);
    let plain = site.render(&["--kube-version", "1.35.0"]);
    let driver = plain.iter().find(|object| object["kind"] == "CSIDriver").expect("it is rendered");
    assert_eq!(driver["spec"]["serviceAccountTokenInSecrets"], Value::Null);
    let complaint = site.helm(&["template", "r", CHART, "--kube-version", "1.29.0"]).expect_bad();
    assert!(complaint.contains("kubeVersion: >=1.30.0-0"), "{complaint}");
}

/// The DaemonSet that the chart makes of the values, if any.
pub fn daemon_set(site: &Site, arguments: &[&str]) -> Option<Value> {
    site.render(arguments).into_iter().find(|object| object["kind"] == "DaemonSet")
}

/// The images of its containers.
pub fn images(site: &Site, arguments: &[&str]) -> Vec<String> {
    let set = daemon_set(site, arguments).expect("it is rendered");
    let containers = set["spec"]["template"]["spec"]["containers"].as_array().expect("a list").iter();
    containers.map(|one| one["image"].as_str().expect("a text").to_owned()).collect()
}

/// The driver's container of a DaemonSet.
pub fn driver(set: &Value) -> Value {
    let containers = set["spec"]["template"]["spec"]["containers"].as_array().expect("it has containers");
    containers.iter().find(|one| one["name"] == "secrets-store").expect("the driver is one").clone()
}

/// What the driver reads from the arguments of its container, names of variables left as they are.
pub fn flags(container: &Value) -> DriverFlags {
    let arguments = arguments(container);
    let read = DriverFlags::parse(arguments.iter().map(Into::into));
    let read = read.unwrap_or_else(|error| panic!("{error} in {arguments:?}"));
    assert!(read.rest.is_empty(), "no flag: {:?}", read.rest);
    read.flags
}

/// A pod as the DaemonSet makes it.
fn pod_of(set: &Value) -> Value {
    let template = &set["spec"]["template"];
    let mut metadata = template["metadata"].clone();
    metadata["namespace"] = set["metadata"]["namespace"].clone();
    metadata["generateName"] = json!("driver-");
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]})
}

/// Path of one of the tables of values.
pub fn values(file: &str) -> String {
    format!("{FILES}/values/{file}")
}

fn files(directory: &str) -> Vec<PathBuf> {
    let directory = Path::new(FILES).join(directory);
    let entries = std::fs::read_dir(&directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry can be read").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", directory.display());
    files
}

fn name(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn text(file: &Path) -> &str {
    file.to_str().expect("paths of tests are texts")
}
