//! deploy/operator as text: that the manifests, the bundle, the other ways to install and the operator's own program say
//! the same. What a cluster makes of it is the matter of `make e2e-operator`.

use std::collections::BTreeSet;
use std::path::Path;

use operator::command_line::{OPERATOR_FLAGS, Operand};
use operator::openshift::Features;
use operator::render::{Inputs, render};
use operator::spec::Spec;
use serde_json::{Value, json};

use super::manifests::{CHART, DEPLOY, expect_copy, files, permissions, read, text};
use kit::yaml;

/// The rights of the operator: a verb more is a change of this table, and reads as one.
#[test]
fn the_operator_holds_what_it_gives_and_what_it_makes_and_no_more() {
    let roles = objects("program/rbac.yaml");
    let of = |kind: &str, namespace: &str| {
        let is_it = |role: &&Value| role["kind"] == kind && text(&role["metadata"]["namespace"]) == namespace;
        let [role] = &roles.iter().filter(is_it).collect::<Vec<_>>()[..] else { panic!("one {kind}") };
        permissions(role)
    };
    assert_eq!(of("ClusterRole", ""), CLUSTER_RIGHTS);
    assert_eq!(of("Role", NAMESPACE), OWN_RIGHTS);
    assert_eq!(of("Role", "kube-system"), ["get daemonsets.apps csi-secrets-store"]);
    // Nobody but the operator has them.
    let bindings = roles.iter().filter(|object| text(&object["kind"]).ends_with("Binding"));
    let who = json!([{"kind": "ServiceAccount", "name": OPERATOR, "namespace": NAMESPACE}]);
    let mut count = 0;
    for binding in bindings {
        assert_eq!((&binding["subjects"], &binding["roleRef"]["name"]), (&who, &json!(OPERATOR)));
        count += 1;
    }
    assert_eq!(count, 3);
    // What it gives: the driver's role has nothing that the operator's has not.
    let given = rendered(PLAIN).into_iter().find(|object| object["kind"] == "ClusterRole");
    let given = permissions(&given.expect("the driver has a role"));
    let holds = |right: &String| is_held(right, &of("ClusterRole", ""));
    assert!(given.iter().all(holds), "{:?}", given.iter().filter(|right| !holds(right)).collect::<Vec<_>>());
}

/// True where a rule for the same resource has all verbs, for these names or for any.
fn is_held(right: &str, held: &[String]) -> bool {
    let parts = |right: &str| -> (BTreeSet<String>, String, Option<String>) {
        let mut words = right.split(' ').map(str::to_owned);
        let verbs = words.next().unwrap_or_default();
        let verbs = verbs.split(',').map(str::to_owned).collect();
        (verbs, words.next().unwrap_or_default(), words.next())
    };
    let (verbs, resource, names) = parts(right);
    held.iter().map(|held| parts(held)).any(|(held, of, limit)| {
        verbs.is_subset(&held) && resource == of && (limit.is_none() || limit == names)
    })
}

#[test]
fn the_operator_has_neither_root_nor_capabilities_nor_a_writable_file_nor_a_directory_of_the_node() {
    let deployment = objects("program/deployment.yaml").remove(0);
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    let certificate = json!([{
        "name": "serving-cert",
        "secret": {"secretName": "secrets-store-csi-driver-operator-metrics-serving-cert", "optional": true},
    }]);
    assert_eq!(pod["volumes"], certificate);
    for share in ["hostNetwork", "hostPID", "hostIPC"] {
        assert_eq!(pod[share], Value::Null, "{share}");
    }
    let [container] = pod["containers"].as_array().unwrap().as_slice() else {
        panic!("one container: {pod}")
    };
    assert_eq!(pod["initContainers"], Value::Null);
    let context = &container["securityContext"];
    assert_eq!((&context["privileged"], &context["runAsUser"]), (&Value::Null, &Value::Null));
    assert!(container["volumeMounts"].as_array().unwrap().iter().all(|mount| mount["readOnly"] == true));
    assert_eq!(context["allowPrivilegeEscalation"], false);
    assert_eq!(context["readOnlyRootFilesystem"], true);
    assert_eq!(context["capabilities"], json!({"drop": ["ALL"]}));
}

#[test]
fn the_role_that_the_operator_gives_the_driver_is_that_of_the_manifests() {
    let shipped = ["rbac-secretproviderclass.yaml", "rbac-secretprovidersyncing.yaml"];
    let objects = shipped.iter().flat_map(|file| yaml::read(&Path::new(DEPLOY).join(file)));
    let wanted: Vec<String> = objects
        .filter(|object| object["kind"] == "ClusterRole")
        .flat_map(|role| permissions(&role))
        .collect();
    let given = rendered(PLAIN).into_iter().find(|object| object["kind"] == "ClusterRole");
    assert_eq!(permissions(&given.expect("the driver has a role")), wanted);
}

#[test]
fn every_object_that_the_operator_makes_it_may_read_and_remove_by_its_name() {
    let [csv] = &objects(CSV)[..] else { panic!("one document") };
    let plain = [permissions_of("ClusterRole", ""), permissions_of("Role", NAMESPACE)].concat();
    let rules = &csv["spec"]["install"]["spec"];
    let of_bundle = ["clusterPermissions", "permissions"].map(|list| permissions(&rules[list][0]));
    for (features, held) in [(PLAIN, plain.clone()), (MICROSHIFT, plain), (OPENSHIFT, of_bundle.concat())] {
        let made = rendered(features);
        assert!(made.len() > 5, "{}", made.len());
        for object in made {
            let resource = resource_of(&object);
            let name = text(&object["metadata"]["name"]);
            for verb in ["get", "list", "watch", "delete"] {
                assert!(is_held(&format!("{verb} {resource} {name}"), &held), "{verb} {resource} {name}");
            }
            assert!(is_held(&format!("create {resource}"), &held), "create {resource}");
        }
    }
}

#[test]
fn the_bundle_deploys_what_the_manifests_deploy() {
    let [csv] = &objects(CSV)[..] else { panic!("one document") };
    let [deployment] = &objects("program/deployment.yaml")[..] else { panic!("one document") };
    let [bundled] = &csv["spec"]["install"]["spec"]["deployments"].as_array().expect("a list")[..] else {
        panic!("one Deployment")
    };
    assert_eq!(bundled["spec"], deployment["spec"]);
    assert_eq!(bundled["name"], deployment["metadata"]["name"]);
    assert_eq!(bundled["label"], deployment["metadata"]["labels"]);
    for list in ["clusterPermissions", "permissions"] {
        assert_eq!(csv["spec"]["install"]["spec"][list][0]["serviceAccountName"], OPERATOR);
        assert!(csv["spec"]["install"]["spec"][list][1].is_null(), "nobody else has rights");
    }
}

/// What the security context constraint of that name admits, with which OpenShift runs what asks for no other. It gives
/// a pod the user and the groups of its namespace, so a pod that names its own is refused.
fn is_admitted_by_restricted_v2(pod: &Value) -> bool {
    let names_ids = |context: &Value| {
        ["runAsUser", "runAsGroup", "fsGroup", "supplementalGroups"].iter().any(|id| !context[*id].is_null())
    };
    let is_confined = |container: &Value| {
        let context = &container["securityContext"];
        context["allowPrivilegeEscalation"] == false
            && context["privileged"] != true
            && context["capabilities"] == json!({"drop": ["ALL"]})
            && !names_ids(context)
    };
    let volumes = pod["volumes"].as_array().into_iter().flatten();
    let is_admitted = |volume: &Value| volume["hostPath"].is_null();
    ["hostNetwork", "hostPID", "hostIPC"].iter().all(|share| pod[*share] != true)
        && !names_ids(&pod["securityContext"])
        && pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
        && pod["containers"].as_array().is_some_and(|all| all.iter().all(is_confined))
        && volumes.into_iter().all(is_admitted)
}

#[test]
fn the_certificate_of_the_metrics_is_the_one_that_their_service_has_made() {
    let [service] = &objects("program/service.yaml")[..] else { panic!("one document") };
    let [deployment] = &objects("program/deployment.yaml")[..] else { panic!("one document") };
    let pod = &deployment["spec"]["template"];
    let asked = &service["metadata"]["annotations"]["service.beta.openshift.io/serving-cert-secret-name"];
    assert_eq!(*asked, pod["spec"]["volumes"][0]["secret"]["secretName"]);
    assert_eq!(service["spec"]["selector"], json!({"app": pod["metadata"]["labels"]["app"]}));
    let container = &pod["spec"]["containers"][0];
    let port = container["ports"].as_array().unwrap().iter().find(|port| port["name"] == "https").unwrap();
    assert_eq!(service["spec"]["ports"][0]["targetPort"], port["name"]);
    let flag = format!("--metrics-listen=:{}", port["containerPort"]);
    assert!(container["args"].as_array().unwrap().contains(&json!(flag)), "{flag}");
    // Where nothing else is said, the program looks where the Secret is mounted.
    let rows = OPERATOR_FLAGS.iter().filter(|row| row.name == "tls-cert-file");
    let [file] = rows.map(|row| row.default).collect::<Vec<_>>()[..] else { panic!("one flag") };
    assert_eq!(file, format!("{}/tls.crt", text(&container["volumeMounts"][0]["mountPath"])));
    // Prometheus comes by that name, and to that port.
    let monitor = objects("openshift/servicemonitor.yaml").remove(0);
    let endpoint = &monitor["spec"]["endpoints"][0];
    assert_eq!(endpoint["port"], service["spec"]["ports"][0]["name"]);
    assert_eq!(monitor["spec"]["selector"]["matchLabels"], service["metadata"]["labels"]);
    let name =
        format!("{}.{}.svc", text(&service["metadata"]["name"]), text(&monitor["metadata"]["namespace"]));
    assert_eq!(endpoint["tlsConfig"]["serverName"], name);
}

#[test]
fn openshift_runs_the_operator_with_no_rights_beyond_the_usual() {
    let [deployment] = &objects("program/deployment.yaml")[..] else { panic!("one document") };
    let pod = &deployment["spec"]["template"]["spec"];
    assert!(is_admitted_by_restricted_v2(pod), "{pod}");
    let spoiled: [(&str, Value); 5] = [
        ("/securityContext/runAsUser", json!(65532)),
        ("/hostNetwork", json!(true)),
        ("/containers/0/securityContext/privileged", json!(true)),
        ("/containers/0/securityContext/capabilities", json!({"drop": ["ALL"], "add": ["SYS_ADMIN"]})),
        ("/volumes", json!([{"name": "root", "hostPath": {"path": "/"}}])),
    ];
    for (pointer, value) in spoiled {
        let mut spoiled = pod.clone();
        let (parent, name) = pointer.rsplit_once('/').expect("a pointer has a slash");
        spoiled.pointer_mut(parent).expect("it is there")[name] = value;
        assert!(!is_admitted_by_restricted_v2(&spoiled), "{pointer}");
    }
}

#[test]
fn the_bundle_gives_the_rights_of_the_manifests_and_those_that_openshift_asks_for() {
    let [csv] = &objects(CSV)[..] else { panic!("one document") };
    let rules = |list: &str| permissions(&csv["spec"]["install"]["spec"][list][0]);
    let cluster =
        [CLUSTER_RIGHTS, &["get daemonsets.apps csi-secrets-store"], OPENSHIFT_CLUSTER_RIGHTS].concat();
    assert_eq!(rules("clusterPermissions"), cluster);
    assert_eq!(rules("permissions"), [OWN_RIGHTS, OPENSHIFT_OWN_RIGHTS].concat());
}

#[test]
fn one_image_of_the_driver_is_named_everywhere() {
    let image = |file: &str| -> Value {
        let [object] = &yaml::read(&Path::new(DEPLOY).join(file))[..] else { panic!("one document") };
        object["spec"]["template"]["spec"]["containers"][0].clone()
    };
    let of_driver = image("secrets-store-csi-driver.yaml")["image"].clone();
    let operator = image("operator/program/deployment.yaml");
    let variable = |name: &str| {
        let all = operator["env"].as_array().into_iter().flatten();
        all.into_iter().find(|variable| variable["name"] == name).map(|variable| variable["value"].clone())
    };
    assert_eq!(variable("DRIVER_IMAGE"), Some(of_driver.clone()));
    assert_eq!(variable("OPERATOR_NAME"), Some(json!(OPERATOR)));
    let [values] = &yaml::read(&Path::new(CHART).join("values.yaml"))[..] else { panic!("one document") };
    let of_chart = &values["linux"]["image"]["repository"];
    assert!(text(&of_driver).starts_with(&format!("{}:", text(of_chart))), "{of_driver} and {of_chart}");
    let [csv] = &objects(CSV)[..] else { panic!("one document") };
    assert_eq!(
        csv["spec"]["relatedImages"],
        json!([
            {"name": OPERATOR, "image": operator["image"]},
            {"name": "secrets-store-csi-driver", "image": of_driver},
        ])
    );
    assert_eq!(csv["metadata"]["annotations"]["containerImage"], operator["image"]);
}

#[test]
fn the_bundle_has_the_kinds_of_the_driver_and_nothing_that_a_cluster_may_lack() {
    let directory = format!("{DEPLOY}/operator/bundle/manifests");
    let mut names = Vec::new();
    for file in files(Path::new(&directory), "") {
        let name = file.file_name().expect("a file has a name").to_string_lossy().into_owned();
        for object in yaml::read(&file) {
            match text(&object["kind"]) {
                "CustomResourceDefinition" => {
                    expect_copy(&format!("{DEPLOY}/crds/{name}"), &format!("{directory}/{name}"));
                    names.push(object["metadata"]["name"].clone());
                }
                // What has a certificate made for it is the one of the manifests.
                "Service" => {
                    let [mut service] = <[Value; 1]>::try_from(objects("program/service.yaml")).unwrap();
                    service["metadata"].as_object_mut().unwrap().remove("namespace");
                    assert_eq!(object, service, "{name}");
                }
                kind => assert_eq!(kind, "ClusterServiceVersion", "{name}"),
            }
        }
    }
    names.sort_by_key(Value::to_string);
    let [csv] = &objects(CSV)[..] else { panic!("one document") };
    let owned = csv["spec"]["customresourcedefinitions"]["owned"].as_array().expect("a list");
    assert_eq!(owned.iter().map(|kind| kind["name"].clone()).collect::<Vec<_>>(), names);
    assert_eq!(csv["spec"]["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn the_bundle_follows_every_earlier_version_and_uses_nothing_that_a_release_takes_away() {
    let [csv] = &objects(CSV)[..] else { panic!("one document") };
    let annotations = &csv["metadata"]["annotations"];
    assert_eq!(annotations["olm.skipRange"], format!("<{}", env!("CARGO_PKG_VERSION")));
    let versions = |objects: &[Value]| -> BTreeSet<String> {
        objects
            .iter()
            .map(|object| text(&object["apiVersion"]).rsplit('/').next().unwrap().to_owned())
            .collect()
    };
    assert_eq!(versions(&rendered(OPENSHIFT)), BTreeSet::from(["v1".to_owned()]));
    assert!(annotations["olm.properties"].is_null(), "so there is no OpenShift that is too new for it");
    // What the console asks for is what the operator reads.
    let asked: Value =
        serde_json::from_str(text(&annotations["operatorframework.io/initialization-resource"])).unwrap();
    assert_eq!(asked["metadata"]["name"], "secrets-store.csi.k8s.io");
    assert!(Spec::read(&asked).is_ok());
    let [definition] = &objects("crd-clustercsidriver.yaml")[..] else { panic!("one document") };
    let group = text(&definition["spec"]["group"]);
    assert_eq!(asked["apiVersion"], format!("{group}/{}", text(&definition["spec"]["versions"][0]["name"])));
    assert_eq!(asked["kind"], definition["spec"]["names"]["kind"]);
}

#[test]
fn the_example_for_the_console_is_a_class() {
    let [sample] = &objects("openshift/console.yaml")[..] else { panic!("one document") };
    let [class] = &yaml::parse(text(&sample["spec"]["yaml"])).unwrap()[..] else { panic!("one document") };
    let target = &sample["spec"]["targetResource"];
    assert_eq!((&class["apiVersion"], &class["kind"]), (&target["apiVersion"], &target["kind"]));
    assert!(class["spec"]["provider"].is_string());
}

#[test]
fn the_image_of_the_bundle_has_the_labels_that_its_metadata_has() {
    let [metadata] = &objects("bundle/metadata/annotations.yaml")[..] else { panic!("one document") };
    let wanted: BTreeSet<String> = metadata["annotations"]
        .as_object()
        .expect("an object")
        .iter()
        .map(|(name, value)| format!("{name}={}", text(value)))
        .collect();
    let dockerfile = read(&Path::new(DEPLOY).join("operator/bundle/Dockerfile"));
    let labels = dockerfile.lines().filter_map(|line| line.strip_prefix("LABEL ")).map(str::to_owned);
    assert_eq!(labels.collect::<BTreeSet<_>>(), wanted);
}

fn objects(file: &str) -> Vec<Value> {
    yaml::read(&Path::new(DEPLOY).join("operator").join(file))
}

fn permissions_of(kind: &str, namespace: &str) -> Vec<String> {
    let is_it = |role: &Value| role["kind"] == kind && text(&role["metadata"]["namespace"]) == namespace;
    objects("program/rbac.yaml").into_iter().filter(is_it).flat_map(|role| permissions(&role)).collect()
}

/// What the operator makes in such a cluster, when nothing special is asked for.
fn rendered(features: Features) -> Vec<Value> {
    let operand = Operand {
        driver_image: "driver:1".to_owned(),
        sidecars: None,
        kubelet_root: "/var/lib/kubelet".to_owned(),
    };
    let spec = Spec::read(&json!({"spec": {"managementState": "Managed"}})).expect("a good object");
    let inputs = Inputs {
        spec: &spec,
        operand: &operand,
        namespace: NAMESPACE,
        features,
        live_tokens: &[],
        trusted_ca: None,
    };
    render(inputs).into_iter().map(|desired| desired.object).collect()
}

/// The resource of an object with its group, as access rules write it.
fn resource_of(object: &Value) -> String {
    let kind = text(&object["kind"]).to_lowercase();
    let plural = if kind.ends_with('y') { kind.replace("policy", "policies") } else { format!("{kind}s") };
    match text(&object["apiVersion"]).split_once('/') {
        Some((group, _)) => format!("{plural}.{group}"),
        None => plural,
    }
}

const NAMESPACE: &str = "secrets-store-csi-driver";
const OPERATOR: &str = "secrets-store-csi-driver-operator";
const CSV: &str = "bundle/manifests/secrets-store-csi-driver-operator.clusterserviceversion.yaml";
const PLAIN: Features = Features { has_security: false, has_config: false };
const MICROSHIFT: Features = Features { has_security: true, has_config: false };
const OPENSHIFT: Features = Features { has_security: true, has_config: true };

/// Everywhere in the cluster.
const CLUSTER_RIGHTS: &[&str] = &[
    "get,list,watch,patch clustercsidrivers.operator.openshift.io secrets-store.csi.k8s.io",
    "patch clustercsidrivers/status.operator.openshift.io secrets-store.csi.k8s.io",
    "create csidrivers.storage.k8s.io",
    "get,list,watch,update,delete csidrivers.storage.k8s.io secrets-store.csi.k8s.io",
    "create clusterroles.rbac.authorization.k8s.io",
    "create clusterrolebindings.rbac.authorization.k8s.io",
    "get,list,watch,update,delete clusterroles.rbac.authorization.k8s.io secretproviderclasses-role",
    "get,list,watch,update,delete clusterrolebindings.rbac.authorization.k8s.io secretproviderclasses-rolebinding",
    "get,list,watch,update,delete clusterroles.rbac.authorization.k8s.io secrets-store-privileged-role",
    "get,list,watch,update,delete clusterrolebindings.rbac.authorization.k8s.io secrets-store-node-privileged-binding",
    "use securitycontextconstraints.security.openshift.io privileged",
    "create tokenreviews.authentication.k8s.io",
    "create subjectaccessreviews.authorization.k8s.io",
    "create events",
    "get,list,watch pods",
    "get,list,watch,create,patch secrets",
    "get,list,watch secretproviderclasses.secrets-store.csi.x-k8s.io",
    "get,create,update secretproviderclasspodstatuses.secrets-store.csi.x-k8s.io",
];
/// In its own namespace.
const OWN_RIGHTS: &[&str] = &[
    "create daemonsets.apps",
    "get,list,watch,update,delete daemonsets.apps secrets-store-csi-driver-node",
    "create serviceaccounts",
    "get,list,watch,delete serviceaccounts secrets-store-csi-driver-node-sa",
    "create networkpolicies.networking.k8s.io",
    "get,list,watch,update,delete networkpolicies.networking.k8s.io sscsi-allow-ingress-to-metrics-operand",
    "get configmaps secrets-store-csi-driver-trusted-ca-bundle",
    "create leases.coordination.k8s.io",
    "get,update leases.coordination.k8s.io secrets-store-csi-driver-operator-lock",
    "create,patch events",
];
/// On OpenShift besides.
const OPENSHIFT_CLUSTER_RIGHTS: &[&str] = &[
    "get,list,watch proxies.config.openshift.io cluster",
    "get,list,watch apiservers.config.openshift.io cluster",
    "get,list,watch infrastructures.config.openshift.io cluster",
];
const OPENSHIFT_OWN_RIGHTS: &[&str] = &[
    "create configmaps",
    "get,list,watch,update,delete configmaps secrets-store-csi-driver-trusted-ca-bundle",
];
