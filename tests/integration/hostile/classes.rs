//! Authors of classes: whatever stands in a class, it reaches no namespace but its own and is nowhere taken for more
//! than text.

use serde_json::{Map, Value, json};

use super::*;
use ::api_server::Seen;
use kit::mirror::Mirror;
use kit::objects;
use kit::random::Random;

/// Namespaces of pods and classes. Nobody has anything to do in [`OTHERS`].
const NAMESPACES: [&str; 3] = ["team-a", "team-b", "team-c"];
const OTHERS: [&str; 2] = ["other", "kube-system"];

/// What could lead elsewhere where it is taken for more than a name.
const TEXTS: [&str; 22] = [
    "other",
    "kube-system",
    "other/db",
    "../other",
    "../../other/secrets/precious",
    "..%2fother",
    "/api/v1/namespaces/other/secrets/precious",
    "https://kubernetes.default.svc/api/v1/namespaces/other/secrets/precious",
    "other.precious",
    "precious",
    "precious?namespace=other",
    "precious#other",
    "{{ .Values.namespace }}",
    "{{ (lookup \"v1\" \"Secret\" \"other\" \"precious\").data }}",
    "${NAMESPACE}",
    "$(cat /etc/passwd)",
    "namespace: other",
    "db",
    "password",
    "",
    " other ",
    "other\nnamespace: other",
];

/// Fields that other software takes for a namespace, beside those that the driver reads.
const FIELDS: [&str; 12] = [
    "namespace",
    "secretNamespace",
    "targetNamespace",
    "objects",
    "secretRef",
    "csi.storage.k8s.io/pod.namespace/",
    "podNamespace",
    "key",
    "name",
    "type",
    "secretName",
    "objectName",
];

#[test]
fn every_request_carries_the_namespace_of_a_pod_whatever_its_class_says() {
    let mirror = Mirror::start(&ALWAYS_DUE);
    for namespace in OTHERS {
        mirror.world.api.put(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": namespace, "name": "precious",
            "labels": {"secrets-store.csi.k8s.io/managed": "true"}}, "data": {"password": "cHJlY2lvdXM="},
        }));
        mirror.class_in(namespace, "db", json!([]));
    }
    let before = contents(&mirror);
    let mut random = Random::new(7);
    let (mut published, mut mirrored) = (0, 0);
    for round in 0..ROUNDS {
        let namespace = NAMESPACES[round % NAMESPACES.len()];
        let (pod, class) = (format!("pod-{round}"), format!("class-{round}"));
        mirror.world.api.put(hostile_class(&mut random, namespace, &class));
        let mut pod = mirror.pod_with(namespace, &pod, &class, json!([]));
        for _ in 0..random.below(3) {
            let (key, text) = (*random.one_of(&FIELDS), *random.one_of(&TEXTS));
            pod.attributes.insert(key.to_owned(), text.to_owned());
        }
        mirror.world.api.forget_requests();
        for _ in 0..2 {
            published += usize::from(mirror.world.kubelet.publish(&pod).is_ok());
        }
        let expected = format!("/namespaces/{namespace}/");
        let seen = mirror.world.api.requests();
        mirrored += usize::from(seen.iter().any(|seen| seen.path.contains(&format!("{expected}secrets/"))));
        for seen in &seen {
            // Secrets and events of earlier rounds may still be under way.
            let is_of_pods = NAMESPACES.iter().any(|of| seen.path.contains(&format!("/namespaces/{of}/")));
            let is_of_this = seen.path.contains(&expected) || !seen.path.contains(&class);
            assert!(is_of_pods && is_of_this || follows_all(seen), "round {round}: {seen:?}");
        }
        mirror.world.kubelet.unpublish(&pod).unwrap();
    }
    println!("{ROUNDS} classes: {published} publishes went well, {mirrored} asked about a Secret");
    assert!(published > ROUNDS / 2 && mirrored > ROUNDS / 4, "{published} and {mirrored}: too few to tell");
    assert_eq!(contents(&mirror), before);
    assert_log_is_whole(&mirror.world);
}

/// What the driver asks beyond namespaces: it follows classes, its own pods, and the metadata of its own Secrets.
fn follows_all(seen: &Seen) -> bool {
    let path = seen.path.rsplit('/').next().unwrap_or_default();
    let is_narrow = match path {
        "pods" => seen.query.contains("fieldSelector=spec.nodeName%3Dnode-1"),
        "secrets" => {
            seen.query.contains("labelSelector=") && seen.accept.contains("as=PartialObjectMetadata")
        }
        "secretproviderclasses" => true,
        _ => false,
    };
    is_narrow && !seen.path.contains("/namespaces/") && ["list", "watch"].contains(&seen.verb)
}

/// Everything in the namespaces that nobody has to do with.
fn contents(mirror: &Mirror) -> Vec<Value> {
    let collections = ["secrets", "pods", "events", "configmaps"].map(|kind| ("/api/v1", kind));
    let ours = ["secretproviderclasses", "secretproviderclasspodstatuses"]
        .map(|kind| ("/apis/secrets-store.csi.x-k8s.io/v1", kind));
    let paths = collections
        .into_iter()
        .chain(ours)
        .flat_map(|(group, kind)| OTHERS.map(|namespace| format!("{group}/namespaces/{namespace}/{kind}")));
    paths.flat_map(|path| mirror.world.api.list(&path)).collect()
}

/// A class whose every field may be hostile, and some of which make Secrets all the same.
fn hostile_class(random: &mut Random, namespace: &str, name: &str) -> Value {
    let mut class = objects::class(namespace, name, "test", json!({"objects": random.one_of(&TEXTS)}));
    if random.once_in(8) {
        class["spec"]["provider"] = json!(random.one_of(&TEXTS));
    }
    sprinkle(random, &mut class["spec"]["parameters"]);
    let entries = (0..random.below(4)).map(|_| {
        // Most fields are honest, so that one that is not is looked at.
        let mut text =
            |honestly: &str| json!(if random.once_in(4) { random.one_of(&TEXTS) } else { honestly });
        let mut entry = json!({
            "secretName": text("precious"), "type": text("Opaque"),
            "data": [{"objectName": text("password"), "key": text("password")}],
            "labels": {"namespace": text("x")}, "annotations": {"namespace": text("x")},
        });
        sprinkle(random, &mut entry);
        sprinkle(random, &mut entry["data"][0]);
        entry
    });
    let entries: Vec<Value> = entries.collect();
    class["spec"]["secretObjects"] = json!(entries);
    sprinkle(random, &mut class["spec"]);
    class
}

/// Adds fields that nobody asked for.
fn sprinkle(random: &mut Random, into: &mut Value) {
    let into: &mut Map<String, Value> = into.as_object_mut().unwrap();
    for _ in 0..random.below(4) {
        let field = random.one_of(&FIELDS);
        // What an honest class would have stays as it is.
        if !into.contains_key(*field) && *field != "secretObjects" {
            into.insert((*field).to_owned(), json!(random.one_of(&TEXTS)));
        }
    }
}

#[test]
fn what_looks_like_a_template_or_a_command_is_passed_on_as_it_is() {
    let (world, provider) = node(&[]);
    let texts = [
        "{{ .Values.x }}",
        "{{ getHostByName \"metadata.example.com\" }}",
        "{{ (lookup \"v1\" \"Secret\" \"kube-system\" \"x\").data }}",
        "{% include '/etc/passwd' %}",
        "${HOME} $HOME $(id) `id`",
        "%(x)s %s %n",
        "<%= 7 * 7 %> #{7 * 7} ${7*7} {{7*7}}",
        "${jndi:ldap://example.com/x}",
        "file:///etc/passwd",
        "@/etc/passwd",
        "\\u0041\\n\\x41",
    ];
    let parameters: Map<String, Value> =
        texts.iter().enumerate().map(|(n, text)| (format!("p{n}"), json!(text))).collect();
    world.class("wide", "test", parameters.into());
    let mut pod = world.pod("web", "wide");
    pod.attributes =
        texts.iter().enumerate().map(|(n, text)| (format!("a{n}"), (*text).to_owned())).collect();
    let files: Vec<(String, &str)> =
        texts.iter().enumerate().map(|(n, text)| (format!("f{n}"), *text)).collect();
    let delivered = files.clone();
    provider.script(move |_| {
        let files: Vec<_> =
            delivered.iter().map(|(name, text)| (name.as_str(), 0, text.as_bytes())).collect();
        Ok(answer("v1", &files))
    });
    world.kubelet.publish(&pod).unwrap();
    let sent: Value = serde_json::from_str(&provider.last().attributes).unwrap();
    for (number, text) in texts.iter().enumerate() {
        assert_eq!(sent[format!("p{number}")], *text);
        assert_eq!(sent[format!("a{number}")], *text);
        assert_eq!(pod.read(&format!("f{number}")), *text);
    }
}

const ROUNDS: usize = 150;
