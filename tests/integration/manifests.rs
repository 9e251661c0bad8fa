//! deploy/ as text: what can be told of it without a cluster. What a cluster makes of it is the matter of `make e2e`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kube::types::limits::{
    LARGEST_PARAMETERS_BYTES, LARGEST_SECRET_OBJECTS_BYTES, LONGEST_TEXT_BYTES, MOST_DATA, MOST_LABELS,
    MOST_PARAMETERS, MOST_SECRET_OBJECTS, TEXT_OVERHEAD_BYTES,
};
use serde_json::Value;
use web::admin::PATIENCE;

use kit::yaml;

#[test]
fn every_file_is_yaml_with_kinds() {
    for file in files(Path::new(DEPLOY), "yaml") {
        if file.starts_with(format!("{CHART}/templates")) {
            continue;
        }
        for object in yaml::read(&file) {
            let is_plain = file.starts_with(CHART)
                && (!file.starts_with(format!("{CHART}/files")) || file.ends_with("files/values.yaml"));
            // A list of changes to be made to something else.
            let is_patch = object.is_array();
            let is_metadata = file.ends_with("bundle/metadata/annotations.yaml");
            assert!(
                is_plain || is_patch || is_metadata || object["kind"].is_string(),
                "{}: {object}",
                file.display()
            );
        }
    }
}

#[test]
fn nothing_that_is_installed_is_a_job() {
    let kinds = |file: &PathBuf| -> Vec<String> {
        let text = read(file);
        let kinds =
            text.lines().filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix("kind: "));
        kinds.map(str::to_owned).collect()
    };
    let kinds: Vec<String> = files(Path::new(DEPLOY), "yaml").iter().flat_map(kinds).collect();
    assert!(kinds.iter().any(|kind| kind == "DaemonSet"), "{kinds:?}");
    assert!(!kinds.iter().any(|kind| kind.ends_with("Job")), "{kinds:?}");
}

#[test]
fn the_readiness_probe_outlasts_the_wait_that_it_asks_for_and_the_chart_has_the_same() {
    let manifest = read(&Path::new(DEPLOY).join("secrets-store-csi-driver.yaml"));
    let set = yaml::parse(&manifest).unwrap().remove(0);
    let probe = &set["spec"]["template"]["spec"]["containers"][0]["readinessProbe"];
    assert_eq!(probe["httpGet"]["path"], "/readyz?wait");
    let timeout = probe["timeoutSeconds"].as_u64().expect("a probe has a timeout");
    assert!(timeout > PATIENCE.as_secs(), "{probe}");
    let block = |text: &str| -> Vec<String> {
        let from = text.lines().map(str::trim).skip_while(|line| *line != "readinessProbe:");
        from.take(8).map(str::to_owned).collect()
    };
    let template = read(&Path::new(CHART).join("templates/daemonset.yaml"));
    assert_eq!(block(&template), block(&manifest));
}

#[test]
fn copies_are_what_they_are_copies_of() {
    let copies = [
        ("crds/secrets-store.csi.x-k8s.io_secretproviderclasses.yaml", "files/crds"),
        ("crds/secrets-store.csi.x-k8s.io_secretproviderclasspodstatuses.yaml", "files/crds"),
        ("monitoring/prometheusrule.yaml", "files/monitoring"),
        ("monitoring/dashboard.json", "files/monitoring"),
    ];
    for (original, directory) in copies {
        let name = original.rsplit('/').next().expect("a path has a name");
        expect_copy(&format!("{DEPLOY}/{original}"), &format!("{CHART}/{directory}/{name}"));
    }
    // Templates are not given the chart's own, which is gone when somebody reuses another chart's.
    expect_copy(&format!("{CHART}/values.yaml"), &format!("{CHART}/files/values.yaml"));
    let sync = "rbac-secretprovidersyncing.yaml";
    expect_copy(&format!("{DEPLOY}/{sync}"), &format!("{DEPLOY}/sync/{sync}"));
    assert_eq!(files(&Path::new(CHART).join("files"), "").len(), copies.len() + 1, "no copy without a check");
}

/// Or it would meet sections that are not there and booleans that are texts, see `_values.tpl`.
#[test]
fn every_template_settles_the_values_before_it_reads_them() {
    let mut count = 0;
    for file in files(&Path::new(CHART).join("templates"), "") {
        let text = read(&file);
        // Its parts are included by templates that have done so.
        if file.extension().is_some_and(|extension| extension == "tpl") {
            continue;
        }
        let settled = text.find(r#"{{- include "driver.settle" . "#);
        let read = text.find(".Values").unwrap_or(text.len());
        assert!(settled.is_some_and(|settled| settled < read), "{}", file.display());
        count += 1;
    }
    assert!(count > 10, "{count}");
}

#[test]
fn the_chart_gives_the_same_rights_as_the_manifests() {
    let rules = |text: &str| -> BTreeMap<String, Value> {
        let objects = yaml::parse(text).unwrap_or_else(|error| panic!("{error} in:\n{text}"));
        let roles = objects.into_iter().filter(|object| object["kind"] == "ClusterRole");
        roles.map(|role| (role["metadata"]["name"].to_string(), role["rules"].clone())).collect()
    };
    let mut all = 0;
    for file in files(Path::new(DEPLOY), "yaml") {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_ours = file.parent() == Some(Path::new(DEPLOY));
        if !is_ours || !(name.starts_with("rbac-") || name.starts_with("role-")) {
            continue;
        }
        let original = rules(&read(&file));
        // What a template adds to roles is on lines of its own.
        let template = read(&Path::new(CHART).join("templates").join(&name));
        let plain: Vec<&str> = template.lines().filter(|line| !line.contains("{{")).collect();
        assert_eq!(rules(&plain.join("\n")), original, "{name}");
        all += original.len();
    }
    assert_eq!(all, 5);
}

/// The rights of everybody whom the installation gives any: a verb more is a change of this table, and reads as one.
#[test]
fn nobody_is_given_more_rights_than_these() {
    let mut rights: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut bindings = Vec::new();
    for file in files(Path::new(DEPLOY), "yaml") {
        // Checked against the same files above, copies of others, and what `operator_manifests.rs` has a table of.
        let [sync, operator] = ["sync", "operator"].map(|directory| Path::new(DEPLOY).join(directory));
        if file.starts_with(CHART) || file.starts_with(sync) || file.starts_with(operator) {
            continue;
        }
        for object in yaml::read(&file) {
            let kind = object["kind"].as_str().unwrap_or_default();
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            match kind {
                "ClusterRole" => drop(rights.insert(name.to_owned(), permissions(&object))),
                "ClusterRoleBinding" => {
                    let role = object["roleRef"]["name"].as_str().unwrap_or_default().to_owned();
                    let subjects = object["subjects"].as_array().expect("a list");
                    let subjects = subjects.iter().map(|subject| {
                        format!(
                            "{} {}/{}",
                            text(&subject["kind"]),
                            text(&subject["namespace"]),
                            text(&subject["name"])
                        )
                    });
                    bindings.extend(subjects.map(|subject| (role.clone(), subject)));
                }
                _ => assert!(!kind.contains("Role"), "{}: a {kind} that nobody looks at", file.display()),
            }
        }
    }
    let expected = RIGHTS.map(|(role, rights)| {
        (role.to_owned(), rights.iter().map(|right| (*right).to_owned()).collect::<Vec<_>>())
    });
    assert_eq!(rights, BTreeMap::from(expected));
    bindings.sort();
    let driver = "ServiceAccount kube-system/secrets-store-csi-driver".to_owned();
    let bound = ["secretproviderclasses-role", "secretprovidersyncing-role"];
    assert_eq!(bindings, bound.map(|role| (role.to_owned(), driver.clone())));
    // The chart's templates bind and give what these do: `the_chart_gives_the_same_rights_as_the_manifests`.
    let roles =
        |text: &str| text.matches("\nkind: ClusterRole\n").count() + text.matches("\nkind: Role\n").count();
    let templates = files(&Path::new(CHART).join("templates"), "yaml");
    assert_eq!(templates.iter().map(|file| roles(&read(file))).sum::<usize>(), RIGHTS.len());
}

/// What a role permits, in the order of its file: verbs, resource with its group, and the names it is limited to.
pub(super) fn permissions(role: &Value) -> Vec<String> {
    let list = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().map(|item| text(item).to_owned()).collect()
    };
    let mut all = Vec::new();
    for rule in role["rules"].as_array().expect("a role has rules") {
        let known = ["apiGroups", "resources", "verbs", "resourceNames"];
        assert!(
            rule.as_object().is_some_and(|rule| rule.keys().all(|key| known.contains(&&**key))),
            "{rule}"
        );
        let names = list(&rule["resourceNames"]);
        let names = if names.is_empty() { String::new() } else { format!(" {}", names.join(",")) };
        for group in list(&rule["apiGroups"]) {
            for resource in list(&rule["resources"]) {
                let group = if group.is_empty() { String::new() } else { format!(".{group}") };
                all.push(format!("{} {resource}{group}{names}", list(&rule["verbs"]).join(",")));
            }
        }
    }
    all
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[test]
fn there_is_one_version() {
    let version = env!("CARGO_PKG_VERSION");
    let [chart] = &yaml::read(&Path::new(CHART).join("Chart.yaml"))[..] else { panic!("one document") };
    assert_eq!(chart["version"], version);
    assert_eq!(chart["appVersion"], version);
    let [set] = &yaml::read(&Path::new(DEPLOY).join("secrets-store-csi-driver.yaml"))[..] else {
        panic!("one document")
    };
    let image = &set["spec"]["template"]["spec"]["containers"][0]["image"];
    assert_eq!(*image, format!("localhost/secrets-store-csi-driver:v{version}"));
}

#[test]
fn every_field_of_a_custom_resource_is_described_and_has_the_established_type() {
    for (name, versions) in SCHEMAS {
        let file = format!("{DEPLOY}/crds/secrets-store.csi.x-k8s.io_{name}.yaml");
        let [definition] = &yaml::read(Path::new(&file))[..] else { panic!("one document") };
        let served = definition["spec"]["versions"].as_array().expect("a list");
        assert_eq!(served.len(), versions.len());
        for (version, (wanted, fields)) in served.iter().zip(versions) {
            assert_eq!(version["name"], **wanted);
            assert_eq!(version["served"], true);
            assert_eq!(version["storage"], *wanted == "v1");
            assert!(version["additionalPrinterColumns"].as_array().is_some_and(|columns| columns.len() > 1));
            let mut found = Vec::new();
            let schema = &version["schema"]["openAPIV3Schema"];
            assert!(schema["description"].is_string(), "{name} {wanted} says what it is for");
            collect(schema, "", &mut found);
            found.sort();
            let mut expected: Vec<String> =
                fields.iter().flat_map(|fields| fields.iter()).map(|field| (*field).to_owned()).collect();
            expected.sort();
            assert_eq!(found, expected, "{name} {wanted}");
        }
    }
}

#[test]
fn the_schema_of_a_class_permits_what_the_driver_holds_of_one() {
    let file = format!("{DEPLOY}/crds/secrets-store.csi.x-k8s.io_secretproviderclasses.yaml");
    let [definition] = &yaml::read(Path::new(&file))[..] else { panic!("one document") };
    for version in definition["spec"]["versions"].as_array().expect("a list") {
        let spec = &version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
        let (parameters, objects) = (&spec["parameters"], &spec["secretObjects"]);
        let entry = &objects["items"]["properties"];
        let item = &entry["data"]["items"]["properties"];
        let values = "additionalProperties";
        let rows = [
            (&spec["provider"]["maxLength"], 253),
            (&parameters["maxProperties"], MOST_PARAMETERS),
            (&parameters[values]["maxLength"], LARGEST_PARAMETERS_BYTES),
            (&objects["maxItems"], MOST_SECRET_OBJECTS),
            (&entry["secretName"]["maxLength"], 253),
            (&entry["type"]["maxLength"], 253),
            (&entry["labels"]["maxProperties"], MOST_LABELS),
            // What Kubernetes takes.
            (&entry["labels"][values]["maxLength"], 63),
            (&entry["annotations"]["maxProperties"], MOST_LABELS),
            (&entry["annotations"][values]["maxLength"], LONGEST_TEXT_BYTES),
            (&entry["data"]["maxItems"], MOST_DATA),
            // A path, as the kernel takes it.
            (&item["objectName"]["maxLength"], 4096),
            (&item["key"]["maxLength"], 253),
        ];
        for (at, (limit, expected)) in rows.into_iter().enumerate() {
            assert_eq!(*limit, expected, "{} row {at}", version["name"]);
        }
        // And the document says so.
        let page = read(Path::new(kit::in_repository!("/docs/limits.md")));
        let says = |text: &str| assert!(page.contains(text), "docs/limits.md does not say {text:?}");
        says(&format!(
            "| `parameters` | {MOST_PARAMETERS} | {} KiB together, as JSON |",
            LARGEST_PARAMETERS_BYTES / 1024
        ));
        says(&format!(
            "| `secretObjects` | {MOST_SECRET_OBJECTS} | {} KiB together",
            LARGEST_SECRET_OBJECTS_BYTES / 1024
        ));
        says(&format!("each text counts {TEXT_OVERHEAD_BYTES} more"));
        says(&format!("| `labels` | {MOST_LABELS} | 63 characters each |"));
        says(&format!("| `annotations` | {MOST_LABELS} | {} KiB each |", LONGEST_TEXT_BYTES / 1024));
        says(&format!("| `data` | {MOST_DATA} |"));
    }
}

/// Each field as `path type`; panics where one is not described.
fn collect(schema: &Value, path: &str, found: &mut Vec<String>) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        // What that is the API server says itself.
        assert!(field["description"].is_string() || path == ".metadata", "{path} is not described");
        let map = &field["additionalProperties"]["type"];
        let of =
            if map.is_null() { String::new() } else { format!(" of {}", map.as_str().unwrap_or_default()) };
        found.push(format!("{path} {}{of}", field["type"].as_str().unwrap_or_default()));
        collect(field, &path, found);
        if !field["items"].is_null() {
            assert!(field["items"]["description"].is_string(), "an item of {path} is not described");
            assert_eq!(field["items"]["type"], "object", "{path}");
            collect(&field["items"], &format!("{path}[]"), found);
        }
    }
}

pub(super) fn expect_copy(original: &str, copy: &str) {
    assert!(read(Path::new(original)) == read(Path::new(copy)), "stale: run cp {original} {copy}");
}

pub(super) fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The files below a directory with that ending.
pub(super) fn files(directory: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
    let paths = entries.map(|entry| entry.expect("an entry can be read").path());
    let of = |path: PathBuf| {
        if path.is_dir() { files(&path, ending) } else { vec![path] }
    };
    paths.flat_map(of).filter(|path| path.to_string_lossy().ends_with(ending)).collect()
}

/// Every role that is shipped, and all that it permits. Nothing deletes Secrets, nothing makes tokens, nothing reads
/// config maps or nodes.
const RIGHTS: [(&str, &[&str]); 5] = [
    (
        "secretproviderclasses-role",
        &[
            "create events",
            "get,list,watch pods",
            "get,list,watch secretproviderclasses.secrets-store.csi.x-k8s.io",
            "get,create,update secretproviderclasspodstatuses.secrets-store.csi.x-k8s.io",
            "get csidrivers.storage.k8s.io secrets-store.csi.k8s.io",
        ],
    ),
    ("secretprovidersyncing-role", &["get,list,watch,create,patch secrets"]),
    (
        "secretproviderclasses-admin-role",
        &[concat!(
            "get,list,watch,create,update,patch,delete ",
            "secretproviderclasses.secrets-store.csi.x-k8s.io"
        )],
    ),
    (
        "secretproviderclasses-viewer-role",
        &["get,list,watch secretproviderclasses.secrets-store.csi.x-k8s.io"],
    ),
    (
        "secretproviderclasspodstatuses-viewer-role",
        &["get,list,watch secretproviderclasspodstatuses.secrets-store.csi.x-k8s.io"],
    ),
];

/// Versions of a kind, with the fields of each.
type Versions = &'static [(&'static str, &'static [&'static [&'static str]])];

/// What objects out there are written against.
const SCHEMAS: [(&str, Versions); 2] = [
    ("secretproviderclasses", &[("v1", &[TOP, CLASS]), ("v1alpha1", &[TOP, CLASS, BY_POD])]),
    ("secretproviderclasspodstatuses", &[("v1", &[TOP, STATUS]), ("v1alpha1", &[TOP, STATUS])]),
];
const TOP: &[&str] = &[".apiVersion string", ".kind string", ".metadata object", ".status object"];
const CLASS: &[&str] = &[
    ".spec object",
    ".spec.provider string",
    ".spec.parameters object of string",
    ".spec.secretObjects array",
    ".spec.secretObjects[].secretName string",
    ".spec.secretObjects[].type string",
    ".spec.secretObjects[].labels object of string",
    ".spec.secretObjects[].annotations object of string",
    ".spec.secretObjects[].data array",
    ".spec.secretObjects[].data[].objectName string",
    ".spec.secretObjects[].data[].key string",
];
const BY_POD: &[&str] =
    &[".status.byPod array", ".status.byPod[].id string", ".status.byPod[].namespace string"];
const STATUS: &[&str] = &[
    ".status.podName string",
    ".status.secretProviderClassName string",
    ".status.mounted boolean",
    ".status.targetPath string",
    ".status.objects array",
    ".status.objects[].id string",
    ".status.objects[].version string",
];
pub(super) const DEPLOY: &str = kit::in_repository!("/deploy");
pub(super) const CHART: &str = kit::in_repository!("/deploy/charts/secrets-store-csi-driver");
