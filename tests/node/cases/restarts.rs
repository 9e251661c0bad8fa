//! The driver, kubelet and the provider end and come back, while pods live and die.

use super::Case;
use crate::objects::{class, pod, reader};
use crate::stage::{A_POD, A_REFRESH, Stage};
use e2e::patience::within;

/// The cases.
pub const CASES: &[Case] = &[
    Case { sentence: "killed by the kernel, the driver comes back, and no reader notices", play: killed },
    Case { sentence: "while the driver is rolled out, pods start, and no reader notices", play: rolled_out },
    Case { sentence: "after a restart of kubelet refreshes go on", play: kubelet },
    Case { sentence: "a pod that is deleted while the driver is away ends when it is back", play: away },
    Case { sentence: "a pod that is removed while kubelet is away leaves nothing", play: orphan },
    Case {
        sentence: "without its provider a pod waits and says why, one that runs goes on, and both recover",
        play: provider,
    },
];

fn killed(stage: &mut Stage) {
    let here = stage.namespace("killed");
    here.apply(&[class("living", "foo")]);
    here.run(&reader("living", "living"));
    stage.driver.kill();
    stage.provider.put("foo", "two");
    here.saw("living", "two");
    here.never_lost("living");
    stage.driver.replace_pod();
}

fn rolled_out(stage: &mut Stage) {
    let here = stage.namespace("rollout");
    here.apply(&[class("living", "foo")]);
    here.run(&reader("living", "living"));
    stage.driver.restart_rollout();
    let names: Vec<String> = (0..5).map(|number| format!("during{number}")).collect();
    for name in &names {
        here.apply(&[pod(name, "living")]);
    }
    stage.driver.wait_until_ready();
    here.ready_within(A_REFRESH, &names.iter().map(String::as_str).collect::<Vec<_>>());
    here.never_lost("living");
}

fn kubelet(stage: &mut Stage) {
    let here = stage.namespace("kubelet");
    here.apply(&[class("living", "foo")]);
    here.run(&reader("living", "living"));
    stage.node.kubelet.stop();
    stage.provider.put("foo", "two");
    stage.node.kubelet.start_again(&stage.node.machine);
    here.saw("living", "two");
    stage.driver.wait_until_ready();
    here.never_lost("living");
    here.run(&pod("after", "living"));
}

fn away(stage: &mut Stage) {
    let here = stage.namespace("away");
    here.apply(&[class("living", "foo")]);
    here.run(&reader("stays", "living"));
    here.run(&pod("left", "living"));
    let uid = here.uid("left");
    stage.driver.banish();
    here.delete("left");
    within(A_POD, "the containers of the deleted pod have ended", || {
        let pod = here.pod("left");
        pod["status"]["containerStatuses"][0]["state"]["terminated"].is_object()
    });
    assert!(stage.node.mounts().contains(&uid), "nobody is there to take its volume down");
    stage.driver.call_back();
    here.nothing_left(stage, "left", &uid);
    here.never_lost("stays");
}

fn orphan(stage: &mut Stage) {
    let here = stage.namespace("orphan");
    here.apply(&[class("living", "foo")]);
    here.run(&pod("orphan", "living"));
    let uid = here.uid("orphan");
    stage.node.kubelet.stop();
    here.good(&["delete", "pod", "orphan", "--force", "--grace-period=0"]);
    assert!(stage.node.mounts().contains(&uid), "kubelet is away");
    stage.node.kubelet.start_again(&stage.node.machine);
    here.nothing_left(stage, "orphan", &uid);
    stage.driver.wait_until_ready();
}

fn provider(stage: &mut Stage) {
    let here = stage.namespace("outage");
    here.apply(&[class("living", "foo")]);
    here.run(&reader("before", "living"));
    // Its socket stays, and nobody listens there.
    stage.provider.stop();
    here.apply(&[pod("after", "living")]);
    here.told("after", "nobody listens");
    assert_eq!(here.pod("after")["status"]["phase"], "Pending");
    // Now as on a node on which it was never installed.
    stage.node.remove(crate::provider::SOCKET);
    here.apply(&[pod("never", "living")]);
    here.told("never", "SecretsStorePublishFailed");
    stage.provider.put("foo", "two");
    here.told("before", "SecretsStoreRefreshFailed");
    here.never_lost("before");
    stage.provider.start();
    here.ready_within(A_REFRESH, &["after", "never"]);
    here.saw("before", "two");
    here.never_lost("before");
}
