//! Whoever may write pod statuses: they are the driver's to write and nobody's to believe. Whatever stands in one, the
//! same files appear, change and go as if it had never been touched.

use serde_json::{Value, json};

use super::*;
use kit::mirror::{Mirror, object};
use kit::objects::pod_status_path;
use kit::random::Random;

#[test]
fn a_pod_status_changed_at_random_changes_nothing_that_is_done_to_files() {
    let mut stage = Stage::new();
    let expected = stage.life(&mut |_, _| {});
    assert_eq!(expected.len(), MOMENTS);
    assert!(expected[0].iter().any(|line| line.contains("password")), "{expected:?}");
    let mut random = Random::new(11);
    for round in 0..ROUNDS {
        let mut changes = Vec::new();
        let found = stage.life(&mut |stage, moment| {
            // One moment in three is left alone, so that changes also last.
            if !random.once_in(3) {
                changes.push((moment, stage.spoil(&mut random)));
            }
        });
        assert_eq!(found, expected, "round {round}: {changes:?}");
    }
    println!("{ROUNDS} lives of a volume, {MOMENTS} moments each, went as that with an honest pod status");
}

/// A node with the pod `web`, and what a pod status may try to lead the driver to.
struct Stage {
    mirror: Mirror,
    web: Pod,
    /// Another pod's live volume.
    other: Pod,
    victim: Victim,
    other_volume: BTreeMap<PathBuf, String>,
}

impl Stage {
    fn new() -> Stage {
        let mirror = Mirror::start(&ALWAYS_DUE);
        mirror.class("db", json!([object("db-secret", &[("password", "password")])]));
        mirror.class("other", json!([]));
        let (web, other) = (mirror.pod("web", "db"), mirror.pod("other", "other"));
        mirror.publish(&other);
        let victim = Victim::new(&mirror.world);
        let other_volume = traces(&other.target);
        Stage { mirror, web, other, victim, other_volume }
    }

    /// A volume from its first publish to its end, with a restart in between; `meddle` comes before each step. What is
    /// on the node after each.
    fn life(&mut self, meddle: &mut dyn FnMut(&Stage, usize)) -> Vec<Vec<String>> {
        self.mirror.world.api.delete(&pod_status_path("default", "web", "db"));
        let mut found = Vec::new();
        for moment in 0..MOMENTS {
            meddle(self, moment);
            match moment {
                0 => self.refresh("v1", &[("password", b"first"), ("tls/key", b"key")]),
                1 => self.refresh("v2", &[("password", b"second")]),
                2 => {
                    self.mirror.world.start_driver();
                    let is_known = |stage: &Stage| !stage.mirror.world.kubelet.condition(&stage.web).0;
                    assert!(is_known(self), "the volume is taken up");
                }
                3 => self.refresh("v3", &[("password", b"third"), ("added", b"more")]),
                4 => self.refresh("v3", &[("password", b"third"), ("added", b"more")]),
                _ => self.mirror.unpublish(&self.web),
            }
            self.victim.assert_is_untouched(&self.mirror.world, "beside the volume");
            assert_eq!(traces(&self.other.target), self.other_volume, "another pod's volume");
            found.push(self.on_the_node());
        }
        found
    }

    fn refresh(&self, version: &str, files: &[(&str, &[u8])]) {
        self.mirror.answer_with(version, files);
        self.mirror.publish(&self.web);
        for (path, contents) in files {
            assert_eq!(self.web.read(path).as_bytes(), *contents);
        }
    }

    /// Mounts, and every name below the pods directory with what it is and holds, generations by no name of their own.
    fn on_the_node(&self) -> Vec<String> {
        let pods = self.mirror.world.path("pods");
        let mut lines: Vec<String> =
            self.mirror.world.mounts().iter().map(|mount| format!("mount {}", mount.display())).collect();
        let mut pending = vec![pods.clone()];
        while let Some(directory) = pending.pop() {
            for entry in std::fs::read_dir(&directory).unwrap() {
                let path = entry.unwrap().path();
                let metadata = std::fs::symlink_metadata(&path).unwrap();
                let said = if metadata.is_dir() {
                    pending.push(path.clone());
                    "directory".to_owned()
                } else if metadata.is_symlink() {
                    nameless(&std::fs::read_link(&path).unwrap())
                } else {
                    std::fs::read_to_string(&path).unwrap()
                };
                let mode = std::os::unix::fs::MetadataExt::mode(&metadata);
                lines.push(format!("{} {mode:o} {said}", nameless(path.strip_prefix(&pods).unwrap())));
            }
        }
        lines.sort();
        lines
    }

    /// Changes some fields of the pod status as who may write it can, or makes or removes it; what was done.
    fn spoil(&self, random: &mut Random) -> String {
        let path = pod_status_path("default", "web", "db");
        let api = &self.mirror.world.api;
        if random.once_in(8) {
            return format!("removed: {}", api.delete(&path));
        }
        let mut status = api.get(&path).unwrap_or_else(|| {
            json!({
                "apiVersion": "secrets-store.csi.x-k8s.io/v1", "kind": "SecretProviderClassPodStatus",
                "metadata": {"name": "web-default-db", "namespace": "default"},
                "status": {"podName": "web", "secretProviderClassName": "db", "mounted": true, "objects": []},
            })
        });
        let paths = [
            self.victim.path.display().to_string(),
            self.other.target.display().to_string(),
            self.mirror.world.path("pods").display().to_string(),
            format!("{}/../../../../../../../victim", self.web.target.display()),
            "/".to_owned(),
            "/etc".to_owned(),
            String::new(),
        ];
        let names = ["other", "web", "../other", "", "uid-web"];
        let mut done = Vec::new();
        for _ in 0..=random.below(4) {
            let text = json!(random.one_of(&paths));
            let name = json!(random.one_of(&names));
            let (metadata, field, value): (bool, &str, Value) = match random.below(12) {
                0..=2 => (false, "targetPath", text),
                3 => (false, "podName", name),
                4 => (false, "secretProviderClassName", name),
                5 => (false, "mounted", json!(random.once_in(2))),
                6 => (false, "objects", json!([])),
                7 => (
                    false,
                    "objects",
                    json!([{"id": text, "version": "v3"}, {"id": "password", "version": name}]),
                ),
                8 => (true, "labels", json!({"internal.secrets-store.csi.k8s.io/node-name": name})),
                9 => (true, "annotations", json!({"targetPath": text})),
                10 => (
                    true,
                    "ownerReferences",
                    json!([{"apiVersion": "v1", "kind": "Pod", "name": name, "uid": self.other.uid}]),
                ),
                _ => (true, "finalizers", json!(["example.com/hold"])),
            };
            done.push(format!("{field} = {value}"));
            let part = if metadata { &mut status["metadata"] } else { &mut status["status"] };
            part[field] = value;
        }
        api.put(status);
        done.join(", ")
    }
}

/// A path whose generations are called what every generation is.
fn nameless(path: &Path) -> String {
    let name = |part: &std::ffi::OsStr| {
        let name = part.to_string_lossy().into_owned();
        if name.starts_with("..2") { "..generation".to_owned() } else { name }
    };
    path.iter().map(name).collect::<Vec<_>>().join("/")
}

const MOMENTS: usize = 6;
const ROUNDS: usize = 40;
