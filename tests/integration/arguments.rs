//! What the driver refuses to be asked: codes and texts as kubelet gets them over the wire.

use std::fs;

use protobuf::MessageField;
use rpc::pb::csi as pb;
use rpc::status::{Code, Status};

use kit::kubelet::publish_request;
use kit::scene::{Scene, old};
use kit::world::World;

/// What is wrong, how it comes about, and the answer.
type Case = (&'static str, fn(&mut pb::NodePublishVolumeRequest), Code, &'static str);

const PUBLISH: [Case; 14] = [
    (
        "no capability",
        |request| request.volume_capability = MessageField::none(),
        Code::InvalidArgument,
        "Volume capability missing in request",
    ),
    (
        "no volume id",
        |request| request.volume_id.clear(),
        Code::InvalidArgument,
        "Volume ID missing in request",
    ),
    (
        "no target",
        |request| request.target_path.clear(),
        Code::InvalidArgument,
        "Target path missing in request",
    ),
    (
        "no attributes",
        |request| request.volume_context.clear(),
        Code::InvalidArgument,
        "Volume attributes missing in request",
    ),
    (
        "no class",
        |request| drop(request.volume_context.remove("secretProviderClass")),
        Code::Unknown,
        "secretProviderClass is not set",
    ),
    (
        "an empty class",
        |request| drop(request.volume_context.insert("secretProviderClass".into(), String::new())),
        Code::Unknown,
        "secretProviderClass is not set",
    ),
    (
        "read-write",
        |request| request.readonly = false,
        Code::InvalidArgument,
        "Readonly is not true in request",
    ),
    (
        "a relative target",
        |request| request.target_path = "pods/x/mount".to_owned(),
        Code::InvalidArgument,
        "Target path \"pods/x/mount\" is not absolute",
    ),
    (
        "a target with dots",
        |request| request.target_path = request.target_path.replace("/mount", "/../mount"),
        Code::InvalidArgument,
        "is not clean: it has '.', '..', '//' or a NUL byte",
    ),
    (
        "a target with a double slash",
        |request| request.target_path = request.target_path.replace("/mount", "//mount"),
        Code::InvalidArgument,
        "is not clean: it has '.', '..', '//' or a NUL byte",
    ),
    (
        "a target that is too long",
        |request| request.target_path.push_str(&"/x".repeat(2048)),
        Code::InvalidArgument,
        "is longer than 4096 bytes",
    ),
    (
        "a target outside the pods directory",
        |request| request.target_path = "/etc/mount".to_owned(),
        Code::InvalidArgument,
        "is not below the pods directory",
    ),
    (
        "the pods directory itself",
        |request| {
            let (pods, _) = request.target_path.split_once("/uid-").unwrap();
            request.target_path = pods.to_owned();
        },
        Code::InvalidArgument,
        "is not below the pods directory",
    ),
    (
        "a group that is no number",
        |request| {
            let capability = request.volume_capability.as_mut().unwrap();
            capability.mut_mount().volume_mount_group = "wheel".to_owned();
        },
        Code::InvalidArgument,
        "Volume mount group in request is not a group id",
    ),
];

#[test]
fn a_publish_with_a_wrong_argument_is_refused_and_counted_and_touches_nothing() {
    let scene = Scene::start(&[]);
    for (row, (name, spoil, code, message)) in PUBLISH.into_iter().enumerate() {
        let mut request = publish_request(&scene.pod);
        spoil(&mut request);
        let status = scene.world.kubelet.publish_raw(&request).expect_err(name);
        assert_eq!(status.code, code, "{name}: {status}");
        assert!(status.message.contains(message), "{name}: {status}");
        let labels = [("provider", ""), ("error_type", "FailedToMount"), ("os_type", "linux")];
        let counted = scene.world.count("node_publish_error_total", &labels);
        assert_eq!(counted, f64::from(u32::try_from(row + 1).unwrap()), "{name}");
    }
    assert_eq!(scene.world.mounts().len(), 0);
    assert_eq!(scene.provider.calls(), 0);
    assert_eq!(scene.world.api.count("get", "secretproviderclasses"), 0);
}

#[test]
fn of_several_wrong_arguments_the_first_in_order_is_told() {
    let world = World::start(&[]);
    let mut request = pb::NodePublishVolumeRequest::default();
    let expect = |request: &pb::NodePublishVolumeRequest, message: &str| {
        assert_eq!(
            world.kubelet.publish_raw(request).unwrap_err(),
            Status::new(Code::InvalidArgument, message)
        );
    };
    expect(&request, "Volume capability missing in request");
    request.volume_capability = MessageField::some(pb::VolumeCapability::default());
    expect(&request, "Volume ID missing in request");
    request.volume_id = "v".to_owned();
    expect(&request, "Target path missing in request");
    request.target_path = "/somewhere".to_owned();
    expect(&request, "Volume attributes missing in request");
}

#[test]
fn an_unpublish_with_a_wrong_argument_is_refused_and_counted() {
    let world = World::start(&[]);
    let table = [
        ("nothing at all", "", "", "Volume ID missing in request"),
        ("no volume id", "", "/x", "Volume ID missing in request"),
        ("no target", "v", "", "Target path missing in request"),
        ("relative", "v", "x/mount", "Target path \"x/mount\" is not absolute"),
        ("unclean", "v", "/x/../mount", "Target path \"/x/../mount\" is not clean"),
        ("the root", "v", "/", "Target path \"/\" is not below the pods directory"),
        ("outside", "v", "/etc/mount", "Target path \"/etc/mount\" is not below the pods directory"),
    ];
    for (row, (name, id, target, message)) in table.into_iter().enumerate() {
        let status = world.kubelet.unpublish_at(id, target).expect_err(name);
        assert_eq!(status.code, Code::InvalidArgument, "{name}: {status}");
        assert!(status.message.starts_with(message), "{name}: {status}");
        let counted = world.count("node_unpublish_error_total", &[]);
        assert_eq!(counted, f64::from(u32::try_from(row + 1).unwrap()), "{name}");
    }
}

#[test]
fn an_unpublish_outside_the_pods_directory_removes_nothing() {
    let world = World::start(&[]);
    let outside = world.path("outside");
    fs::create_dir(&outside).unwrap();
    for target in [world.path("outside"), world.path("pods/../outside"), world.path("providers")] {
        world.kubelet.unpublish_at("v", target.to_str().unwrap()).unwrap_err();
    }
    assert!(outside.exists() && world.providers().exists());
}

#[test]
fn stats_are_told_of_this_volume_at_this_path_and_of_nothing_else() {
    let scene = Scene::published(&[]);
    let (id, path) = (scene.pod.volume_id.as_str(), scene.pod.target.to_str().unwrap());
    let beside = format!("{path}-beside");
    fs::create_dir(&beside).unwrap();
    assert!(scene.world.kubelet.stats_at(id, path).is_ok());
    let table = [
        ("no volume id", "", path, Code::InvalidArgument, "Volume ID missing in request"),
        ("no path", id, "", Code::InvalidArgument, "Volume path missing in request"),
        ("another volume's id", "csi-other", path, Code::NotFound, "there is no volume at"),
        ("a missing path", id, &format!("{path}-missing"), Code::NotFound, "there is no volume at"),
        ("a plain directory", id, &beside, Code::NotFound, "there is no volume at"),
        ("outside the pods directory", id, "/tmp", Code::NotFound, "is not below the pods directory"),
        ("relative", id, "tmp", Code::NotFound, "is not absolute"),
    ];
    for (name, id, path, code, message) in table {
        let status = scene.world.kubelet.stats_at(id, path).expect_err(name);
        assert_eq!(status.code, code, "{name}: {status}");
        assert!(status.message.contains(message), "{name}: {status}");
    }
    scene.world.kubelet.unpublish(&scene.pod).unwrap();
    assert_eq!(scene.world.kubelet.stats(&scene.pod).unwrap_err().code, Code::NotFound);
}

#[test]
fn without_a_pods_directory_any_absolute_clean_path_is_taken() {
    let mut world = World::without_driver(&[]);
    world.leave_out("--kubelet-pods-dir");
    world.start_driver();
    let _provider = world.provider("test", |_| Ok(old()));
    world.class("db", "test", serde_json::json!({"objects": "some"}));
    let mut pod = world.pod("web", "db");
    pod.target = world.path("anywhere/at/all");
    world.kubelet.publish(&pod).unwrap();
    assert_eq!(pod.read("password"), "old");
    world.kubelet.unpublish(&pod).unwrap();
    assert!(!pod.target.exists());

    for (target, message) in
        [("relative", "is not absolute"), ("/a/../b", "is not clean"), ("/", "is the root directory")]
    {
        let status = world.kubelet.unpublish_at("v", target).expect_err(target);
        assert_eq!(status.code, Code::InvalidArgument, "{status}");
        assert!(status.message.contains(message), "{status}");
    }
}

#[test]
fn without_a_pods_directory_a_link_above_the_target_is_followed_as_the_node_set_it_up() {
    let mut world = World::without_driver(&[]);
    world.leave_out("--kubelet-pods-dir");
    world.start_driver();
    let _provider = world.provider("test", |_| Ok(old()));
    world.class("db", "test", serde_json::json!({"objects": "some"}));
    let mut pod = world.pod("web", "db");
    std::os::unix::fs::symlink(world.path("pods"), world.path("kubelet")).unwrap();
    pod.target = world.path("kubelet/uid-web/volumes/kubernetes.io~csi/secrets/mount");
    world.kubelet.publish(&pod).unwrap();
    assert_eq!(pod.read("password"), "old");
    assert_eq!(world.mounts().len(), 1);
    world.kubelet.unpublish(&pod).unwrap();
    assert_eq!(world.mounts().len(), 0);
}

#[test]
fn what_the_driver_does_not_advertise_it_does_not_do() {
    let world = World::start(&[]);
    let kubelet = &world.kubelet;
    // Messages of other calls stand for theirs: nobody reads them.
    let ask = |method: &'static str| -> Status {
        let message = pb::NodeUnpublishVolumeRequest { volume_id: "id".to_owned(), ..Default::default() };
        kubelet.call::<_, pb::NodeUnpublishVolumeResponse>(method, &message).unwrap_err()
    };
    for method in
        ["/csi.v1.Node/NodeStageVolume", "/csi.v1.Node/NodeUnstageVolume", "/csi.v1.Node/NodeExpandVolume"]
    {
        assert_eq!(ask(method), Status::new(Code::Unimplemented, ""), "{method}");
    }

    let info: pb::NodeGetInfoResponse =
        kubelet.call("/csi.v1.Node/NodeGetInfo", &pb::NodeGetInfoRequest::default()).unwrap();
    assert_eq!((info.node_id.as_str(), info.max_volumes_per_node), ("node-1", 0));
}
