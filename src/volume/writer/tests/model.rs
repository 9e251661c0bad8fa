//! Random sequences of writes, crashes and foreign hands, against a model of what must come of them.

use super::*;

/// Marsaglia's xorshift: the same sequence for the same seed, everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// A payload of random paths of the alphabet; none when they contradict each other.
    fn payload(&mut self) -> Option<Payload> {
        let files: Vec<_> = (0..self.below(6))
            .map(|_| {
                let contents = base::secret::SecretBytes::new(self.pick(&CONTENTS).as_bytes().to_vec());
                let mode = FileMode::from_provider(self.pick(&MODES));
                (self.pick(&PATHS).to_owned(), File { mode, contents })
            })
            .collect();
        Payload::new(files).ok()
    }
}

#[test]
fn random_histories_always_end_in_exactly_what_was_written_last() {
    for seed in [1, 0x5eed, 0xdead_beef, 0x1234_5678_9abc_def1] {
        let mut random = Random(seed);
        let mut history = History { volume: Volume::new(), content: Content::new(), is_disturbed: false };
        for step in 0..1000 {
            history.next(&mut random, &format!("seed {seed:#x}, step {step}"));
        }
    }
}

/// The volume and what readers must see of it.
struct History {
    volume: Volume,
    content: Content,
    /// Names in the root are no longer what the writer made of them.
    is_disturbed: bool,
}

impl History {
    fn next(&mut self, random: &mut Random, at: &str) {
        match random.below(10) {
            0 => self.plant(random),
            1 => self.litter(random),
            2 => self.damage(random),
            3 | 4 => {
                if let Some(payload) = random.payload() {
                    self.crash(&payload, random.pick(&Step::ALL), at);
                }
            }
            _ => {
                if let Some(payload) = random.payload() {
                    self.write(&payload, at);
                }
            }
        }
    }

    fn write(&mut self, payload: &Payload, at: &str) {
        let volume = &self.volume;
        let before = without_leftovers(volume);
        let written = volume.write(payload).unwrap_or_else(|error| panic!("{at}: {error}"));
        let after = volume.tree();

        let visible = payload.visible_names();
        let mut expected = volume.tree_for(payload);
        // What is not of the writer's making stays where the payload does not want its name.
        expected.extend(before.clone().into_iter().filter(|(path, entry)| {
            let first = path.iter().next().and_then(OsStr::to_str).unwrap_or_default();
            let is_ours = first.starts_with("..")
                || matches!(entry, Entry::Symlink(to) if *to == Path::new(DATA).join(path));
            !is_ours && !visible.contains(first)
        }));
        assert_eq!(after, expected, "{at}");
        assert_eq!(written == Written::Unchanged, before == after, "{at}: {written:?}");
        volume.assert_victim_is_untouched(at);
        self.content = content_of(payload);
        assert_eq!(volume.through_data(), self.content, "{at}");
        self.is_disturbed = after != volume.tree_for(payload);
    }

    fn crash(&mut self, payload: &Payload, step: Step, at: &str) {
        if !self.volume.crash(payload, step) {
            // It ended before that step, so it ended well.
            return self.write(payload, at);
        }
        let seen = self.volume.through_data();
        let new = content_of(payload);
        assert!(seen == self.content || seen == new, "{at}: {step:?}: {seen:?}");
        if !self.is_disturbed {
            assert_eq!(self.volume.through_names(), seen, "{at}: {step:?}");
        }
        self.volume.assert_victim_is_untouched(at);
        self.content = seen;
    }

    /// Puts something foreign at a visible name.
    fn plant(&mut self, random: &mut Random) {
        let name = random.pick(&["a", "b", "c", ".h", "foreign"]);
        tree::remove(&self.volume.root, name.as_ref()).unwrap();
        let path = self.volume.path(name);
        match random.below(4) {
            0 => fs::write(path, "foreign").unwrap(),
            1 => symlink(self.volume.victim().join("directory"), path).unwrap(),
            2 => symlink("..data/elsewhere", path).unwrap(),
            _ => {
                fs::create_dir_all(path.join("x/y")).unwrap();
                fs::write(path.join("x/f"), "foreign").unwrap();
                symlink(self.volume.victim(), path.join("bait")).unwrap();
            }
        }
        self.is_disturbed = true;
    }

    /// Leaves what a crash of any writer could have left.
    fn litter(&mut self, random: &mut Random) {
        let name = random.pick(&[DATA_TMP, LINK_TMP, "..2020_01_01_00_00_00.7", "..1"]);
        tree::remove(&self.volume.root, name.as_ref()).unwrap();
        let path = self.volume.path(name);
        if random.below(2) == 0 {
            symlink(self.volume.victim(), path).unwrap();
        } else {
            fs::create_dir_all(path.join("..trash.1/x")).unwrap();
            symlink(self.volume.victim(), path.join("..trash.1/bait")).unwrap();
        }
    }

    /// Takes away a visible name, a file of the live generation, or the switch itself.
    fn damage(&mut self, random: &mut Random) {
        let root = &self.volume.root;
        match random.below(3) {
            0 => tree::remove(root, random.pick(&["a", "b", "c", ".h"]).as_ref()).unwrap(),
            1 => tree::remove(root, DATA.as_ref()).unwrap(),
            _ => {
                if let Some(path) = self.content.keys().next() {
                    fs::remove_file(self.volume.path(DATA).join(path)).unwrap();
                }
            }
        }
        self.content = self.volume.through_data();
        self.is_disturbed = true;
    }
}

/// The tree without what only a crash can have left.
fn without_leftovers(volume: &Volume) -> Tree {
    let live = fs::read_link(volume.path(DATA)).unwrap_or_default();
    let mut tree = volume.tree();
    tree.retain(|path, _| {
        let first = path.iter().next().unwrap_or_default();
        !first.as_bytes().starts_with(b"..") || first == DATA || first == live
    });
    tree
}

const PATHS: [&str; 14] =
    ["a", "b", "c", ".h", "a/x", "a/y", "b/x", "b/x/y", "c/d", "c/d/e", "c/d/f", "c/..g", ".h/i", "z"];
const CONTENTS: [&str; 5] = ["", "1", "2", "secret", "a much longer secret"];
const MODES: [i32; 4] = [0, 0o400, 0o644, 0o777];
