//! Pods that try what their specification allows, and targets that kubelet would never send.

use super::*;
use kit::eventually;

const NAMES: [&str; 12] = [
    "../../x",
    "..",
    ".",
    "a/b",
    "a%2fb",
    "/etc/passwd",
    "line\nbreak",
    "a?watch=true",
    "a#b",
    "UPPER",
    "nul\0",
    "\u{1b}[31m\u{202e}",
];

#[test]
fn names_that_are_no_names_never_reach_the_api_server() {
    let (world, _provider) = node(&[]);
    let long = "x".repeat(300);
    let huge = "\n".repeat(1 << 20);
    let names = NAMES.iter().copied().chain([long.as_str(), &huge]);
    for (number, name) in names.enumerate() {
        type Spoil = fn(&mut Pod, &str);
        let rows: [(&str, Spoil); 3] = [
            ("class", |pod, name| pod.class = name.to_owned()),
            ("namespace", |pod, name| pod.namespace = name.to_owned()),
            ("pod", |pod, name| pod.name = name.to_owned()),
        ];
        for (what, spoil) in rows {
            let shown: String = name.chars().take(20).collect();
            let at = format!("{what} {shown:?}");
            if (what, name) == ("pod", long.as_str()) {
                continue; // Too long a name is cut, not refused.
            }
            let mut pod = world.pod(&format!("pod-{number}-{what}"), "db");
            spoil(&mut pod, name);
            let status = refusal(&world, &pod);
            assert_is_presentable(&status, &at);
            assert_is_gone(&pod, &at);
            world.kubelet.unpublish(&pod).expect(&at);
        }
    }
    for seen in world.api.requests() {
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-./".contains(c);
        assert!(seen.path.chars().all(is_plain) && !seen.path.contains(".."), "{}", seen.path);
        assert!(seen.query.is_empty() || matches!(seen.verb, "list" | "watch"), "{}", seen.query);
    }
    assert_log_is_whole(&world);
}

#[test]
fn hostile_providers_names_in_a_class_open_no_other_socket() {
    let (world, provider) = node(&[]);
    std::fs::create_dir(world.path("elsewhere")).unwrap();
    let outside =
        ScriptedProvider::start(&world.environment, &world.path("elsewhere"), "test", |_| Ok(good()));
    let long = "x".repeat(300);
    let huge = "\n".repeat(100 << 10);
    let names = ["../elsewhere/test", "/etc/x", "..", "a b", "line\nbreak", "test\0", &long, &huge];
    for (number, name) in names.into_iter().enumerate() {
        world.class(&format!("class-{number}"), name, objects(&["x"]));
        let pod = world.pod(&format!("pod-{number}"), &format!("class-{number}"));
        let status = refusal(&world, &pod);
        assert_is_presentable(&status, &format!("name {number}"));
        assert_is_gone(&pod, &format!("name {number}"));
        eventually("the pod's owner is told", || !events(&world, &pod).is_empty());
    }
    assert_eq!(outside.calls() + provider.calls(), 0);
    assert_log_is_whole(&world);
}

#[test]
fn a_flood_of_attributes_is_passed_on_or_refused_and_hurts_nobody() {
    let (world, provider) = node(&[]);
    let mut pod = world.pod("flood", "db");
    pod.attributes = (0..20_000).map(|n| (format!("key-{n}\n"), "\u{1}\"\\".repeat(10))).collect();
    world.kubelet.publish(&pod).unwrap();
    let sent: serde_json::Value = serde_json::from_str(&provider.last().attributes).unwrap();
    assert_eq!(sent["key-19999\n"], "\u{1}\"\\".repeat(10));
    assert_is_good(&pod, "flood");

    let mut pod = world.pod("larger", "db");
    pod.attributes = (0..5000).map(|n| (format!("key-{n}"), "x".repeat(1000))).collect();
    let status = world.kubelet.publish(&pod).unwrap_err();
    assert_eq!(status.code, Code::ResourceExhausted, "{status}");
    assert_is_gone(&pod, "more than a request may have");
    assert_log_is_whole(&world);
}

#[test]
fn a_pod_that_contradicts_its_class_in_a_thousand_keys_gets_one_event_of_one_line() {
    let (world, provider) = node(&[]);
    let key = |n: usize| format!("key-{n}\n\u{1b}[31m");
    let parameters: serde_json::Map<_, _> = (0..1000).map(|n| (key(n), "of the class".into())).collect();
    world.class("wide", "test", parameters.into());
    let mut pod = world.pod("web", "wide");
    pod.attributes = (0..1000).map(|n| (key(n), "of the pod".to_owned())).collect();
    world.kubelet.publish(&pod).unwrap();
    let sent: serde_json::Value = serde_json::from_str(&provider.last().attributes).unwrap();
    assert_eq!(sent[key(7)], "of the class");
    eventually("the pod's owner is told", || events(&world, &pod).len() == 1);
    assert!(!events(&world, &pod)[0].contains("of the pod"));
    assert_log_is_whole(&world);
}

#[test]
fn a_class_cannot_set_what_only_kubelet_may_set() {
    let (world, provider) = node(&["--allow-attribute-override=true"]);
    for key in ["csi.storage.k8s.io/pod.name", "csi.storage.k8s.io/serviceAccount.tokens"] {
        world.class("thief", "test", serde_json::json!({"objects": "x", key: "of another"}));
        let pod = world.pod("web", "thief");
        let status = world.kubelet.publish(&pod).unwrap_err();
        assert!(status.message.contains("is reserved"), "{status}");
        assert_is_gone(&pod, key);
    }
    assert_eq!(provider.calls(), 0);
}

#[test]
fn targets_and_ids_that_kubelet_would_never_send_lead_nowhere() {
    let (world, _provider) = node(&[]);
    let victim = Victim::new(&world);
    let pod = world.pod("web", "db");
    let pods = world.path("pods").display().to_string();
    let outside = victim.path.display().to_string();
    let targets = [
        outside.clone(),
        format!("{pods}/../victim/volumes/kubernetes.io~csi/secrets/mount"),
        format!("{pods}/uid-web/../../victim"),
        format!("{pods}//uid-web/mount"),
        format!("{pods}/./x"),
        format!("{pods}-evil/x"),
        pods.clone(),
        "/".to_owned(),
        "relative".to_owned(),
        format!("{pods}/a\0b"),
        format!("{pods}/{}", "x/".repeat(3000)),
        format!("{pods}/line\nbreak/../x"),
    ];
    for target in targets {
        let at: String = target.chars().take(80).collect();
        let mut request = publish_request(&pod);
        request.target_path.clone_from(&target);
        let status = world.kubelet.publish_raw(&request).expect_err(&at);
        assert_eq!(status.code, Code::InvalidArgument, "{at}: {status}");
        assert_is_presentable(&status, &at);
        let request = csi::NodeUnpublishVolumeRequest {
            volume_id: pod.volume_id.clone(),
            target_path: target,
            ..Default::default()
        };
        let answer: Result<csi::NodeUnpublishVolumeResponse, _> =
            world.kubelet.call("/csi.v1.Node/NodeUnpublishVolume", &request);
        assert_eq!(answer.expect_err(&at).code, Code::InvalidArgument, "{at}");
        victim.assert_is_untouched(&world, &at);
    }
    assert!(world.mounts().is_empty());

    for id in ["../../victim", "/", "..", "line\nbreak", &"x".repeat(10_000)] {
        let pod = Pod { volume_id: id.to_owned(), ..pod.clone() };
        world.kubelet.publish(&pod).unwrap();
        assert_is_good(&pod, id);
        world.kubelet.unpublish(&pod).unwrap();
        assert_is_gone(&pod, id);
        victim.assert_is_untouched(&world, id);
    }
    assert_log_is_whole(&world);
}
