//! What is wrong on the node: sockets, registration, kubelet's directory, volumes.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use super::clinic::{Clinic, LONGEST, REGISTRATION_SOCKET};
use kit::shell;

#[test]
fn a_socket_that_nobody_answers_is_told() {
    let clinic = Clinic::open();
    let endpoint = clinic.world.path("csi/csi.sock");
    let registered = format!("--kubelet-registration-path={}", endpoint.display());
    let rows = [
        ("missing.sock", "there is no "),
        ("dead.sock", "nobody answers on "),
        ("file.sock", "is no socket"),
    ];
    drop(UnixListener::bind(clinic.world.path("dead.sock")).unwrap());
    fs::write(clinic.world.path("file.sock"), "").unwrap();
    for (name, what) in rows {
        let flag = format!("--endpoint=unix://{}", clinic.world.path(name).display());
        clinic.finds("csi-socket", &[&flag, &registered], what, "");
    }
}

#[test]
fn a_driver_that_is_stuck_is_told_in_time() {
    let clinic = Clinic::open();
    // Known beforehand: who is stopped tells no address.
    let flags = clinic.flags();
    clinic.world.driver().signal("STOP");
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let report = super::clinic::examine(&flags);
    clinic.world.driver().signal("CONT");
    assert!(report.took < LONGEST, "{:?}", report.took);
    assert_eq!(report.checks("wrong"), ["csi-socket", "healthz", "readyz", "metrics"], "{:#}", report.json);
    report.says("csi-socket", "wrong", "nobody answers", "kubectl logs");
}

#[test]
fn a_driver_that_does_not_run_is_told() {
    let mut clinic = Clinic::open();
    let metrics = format!("--metrics-addr={}", clinic.world.metrics_address());
    clinic.world.take_driver().kill();
    let registry = format!("--kubelet-registration-dir={}", clinic.world.path("registry").display());
    let own = clinic.world.arguments();
    let own = own.iter().map(String::as_str).chain(["--pid=-1", &metrics, &registry]);
    let report = super::clinic::examine(&own.collect::<Vec<_>>());
    assert_eq!(report.checks("wrong"), ["csi-socket", "healthz", "readyz", "metrics"], "{:#}", report.json);
}

#[test]
fn a_node_without_a_name_is_told() {
    let clinic = Clinic::with(|world| world.leave_out("--nodeid"));
    clinic.finds("node-id", &[], "no name for its node", "spec.nodeName");
}

#[test]
fn a_driver_under_another_name_is_told() {
    let clinic = Clinic::with(|world| world.add_flags(&["--drivername=other.example.com"]));
    let report = clinic.examine(&["--drivername=secrets-store.csi.k8s.io"]);
    assert_eq!(report.checks("wrong"), ["csi-name"], "{:#}", report.json);
    report.says("csi-name", "wrong", "calls itself other.example.com", "--drivername");
}

#[test]
fn a_registration_that_kubelet_cannot_use_is_told_with_the_symptom() {
    let mut clinic = Clinic::open();
    let report = clinic.examine(&[]);
    report.says("registration", "good", "kubelet is told to call", "");
    clinic.finds(
        "registration",
        &["--kubelet-registration-path=/k/csi.sock"],
        "not /k/csi.sock",
        "path on the node",
    );

    clinic.registrar = None;
    let socket = clinic.world.path("registry").join(REGISTRATION_SOCKET);
    // Whether its server took the file along or not.
    fs::remove_file(&socket).ok();
    clinic.finds(
        "registration",
        &[],
        "not found in the list of registered CSI drivers",
        "linux.kubeletRootDir",
    );
    drop(UnixListener::bind(&socket).unwrap());
    clinic.finds("registration", &[], "nobody answers on", "node-driver-registrar");
    fs::remove_file(&socket).unwrap();
    fs::write(&socket, "").unwrap();
    clinic.finds("registration", &[], "is no socket", "remove it");
    fs::remove_file(&socket).unwrap();

    clinic.registrar = Some(clinic.registrar_of("other.example.com"));
    clinic.finds("registration", &[], "kubelet is told of a driver other.example.com", "--drivername");
}

#[test]
fn mounts_that_do_not_reach_the_pods_are_told() {
    let clinic = Clinic::open();
    clinic.examine(&[]).says("mount-propagation", "good", "shared", "");
    shell::make_private(&clinic.world.path("pods"));
    clinic.finds("mount-propagation", &[], "pods see empty directories", "mountPropagation: Bidirectional");
}

#[test]
fn a_kubelet_directory_that_is_elsewhere_is_told_with_the_usual_places() {
    let clinic = Clinic::open();
    let flag = format!("--kubelet-pods-dir={}", clinic.world.path("nowhere").display());
    clinic.finds("kubelet-directory", &[&flag], "no such file or directory", "/opt/rke/var/lib/kubelet");
}

#[test]
fn a_volume_that_a_crash_left_closed_is_told() {
    let clinic = Clinic::open();
    clinic.world.kubelet.publish(&clinic.pod).unwrap();
    clinic.examine(&[]).says("volumes", "good", "1 are mounted and whole", "");
    let before = super::clinic::listing(&clinic.pod.target);
    clinic.examine(&[]);
    assert_eq!(super::clinic::listing(&clinic.pod.target), before, "the doctor touches no volume");
    fs::set_permissions(&clinic.pod.target, Permissions::from_mode(0o700)).unwrap();
    let root = File::open(&clinic.pod.target).unwrap();
    root.set_modified(std::time::SystemTime::now() - Duration::from_secs(600)).unwrap();
    clinic.warns("volumes", &[], "1 are closed", "begins anew");
}

#[test]
fn a_volume_that_is_not_refreshed_is_told_by_the_drivers_own_numbers() {
    let clinic = Clinic::open();
    clinic.world.kubelet.publish(&clinic.pod).unwrap();
    clinic.provider.script(|_| {
        let code = rpc::status::Code::PermissionDenied;
        Err(rpc::status::Status::new(code, "no"))
    });
    clinic.world.kubelet.publish(&clinic.pod).unwrap();
    clinic.finds("failing-volumes", &[], "1 volumes could not be refreshed", "kubectl describe pod");
}
