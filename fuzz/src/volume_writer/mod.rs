//! The volume writer in a real directory: random histories of writes, crashes, shortages and foreign hands, against a
//! model of what must come of them.
//!
//! After every step the readers see the content of the last whole write and nothing else, what is outside the volume is
//! as it was, and after a write that succeeds the tree is exactly the described one.

mod model;
mod room;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use volume::content::{Content as PinnedContent, ContentError};
use volume::limits::ContentLimits;
use volume::live::LiveVolume;
use volume::writer::{Step, WriteError, Written, write_observed};

use crate::input::Input;
use crate::mount_response::{Described, expected, payload};
use crate::text::assert_is_harmless;

use model::{Content, Entry, Tree};
use room::Room;

pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut history =
        History { room: Room::new(), content: Content::new(), is_disturbed: false, now: UNIX_EPOCH };
    for _ in 0..MOST_STEPS {
        if input.is_empty() {
            break;
        }
        history.next(&mut input);
        history.room.assert_nothing_happened_outside();
    }
    history.end();
}

/// The volume and what readers must see of it.
struct History {
    room: Room,
    content: Content,
    /// Names in the root are no longer what the writer made of them.
    is_disturbed: bool,
    now: SystemTime,
}

/// One write to be made.
struct Wanted {
    files: Vec<Described>,
    group: Option<u32>,
}

impl Wanted {
    fn of(input: &mut Input<'_>, room: &Room) -> Wanted {
        let files = (0..input.below(7)).map(|_| described(input)).collect();
        Wanted { files, group: room.group(input) }
    }

    /// What readers see of it; `None` when no volume can hold it.
    fn content(&self) -> Option<Content> {
        let mut content = expected(&self.files)?;
        for (mode, _) in content.values_mut() {
            *mode |= self.group.map_or(0, |_| (*mode & 0o400) >> 3);
        }
        Some(content)
    }
}

/// Who pinned the content before a write reads it as it was, or is told that it is gone.
fn is_old_or_replaced(pinned: &PinnedContent, old: &Content) {
    for (path, (_, bytes)) in old {
        match pinned.read(path, usize::MAX) {
            Ok(read) => assert!(read.is_some_and(|read| read.expose() == bytes), "{path} is a mix"),
            Err(error) => assert!(error.is_replaced(), "{path}: {error}"),
        }
    }
}

fn described(input: &mut Input<'_>) -> Described {
    let path = match input.below(8) {
        0 => input.text(),
        1 => format!("{}/{}", input.pick(&PATHS), input.text()),
        _ => input.pick(&PATHS).to_owned(),
    };
    let mode = match input.below(8) {
        0 => input.number().cast_signed(),
        _ => input.pick(&MODES),
    };
    let contents = match input.below(8) {
        // Around the size of the pieces in which files are compared.
        0 => vec![input.byte(); 16 * 1024 - 2 + input.below(5)],
        1 => input.part().to_vec(),
        _ => input.pick(&CONTENTS).as_bytes().to_vec(),
    };
    (path, mode, contents)
}

impl History {
    fn next(&mut self, input: &mut Input<'_>) {
        self.now =
            UNIX_EPOCH + Duration::from_secs(input.pick(&[0, 1_700_000_000, 1_700_000_001, 300_000_000_000]));
        match input.below(16) {
            0 => self.plant(input),
            1 => self.litter(input),
            2 => self.damage(input),
            3 | 4 => self.crash(input),
            5 | 6 => self.starve(input),
            7 => self.block(input),
            8 => self.give_to_group(input),
            9 => self.read_anything(input),
            _ => {
                let wanted = Wanted::of(input, &self.room);
                self.write(&wanted);
            }
        }
    }

    /// A write that succeeds, or a payload that is refused and leaves everything as it was.
    fn write(&mut self, wanted: &Wanted) {
        let before = self.room.tree();
        let Some(payload) = payload(wanted.files.clone()) else {
            assert!(wanted.content().is_none());
            return assert_eq!(self.room.tree(), before);
        };
        let volume = self.volume();
        let pinned = volume.content().unwrap();
        let (old, was_disturbed) = (self.content.clone(), self.is_disturbed);
        let written = volume.write(&payload, wanted.group, ENDLESS, self.now);
        let written = written.unwrap_or_else(|error| panic!("a write failed: {error}"));
        self.is_written(wanted, before, written);
        if !was_disturbed {
            is_old_or_replaced(&pinned, &old);
        }
        volume.finish().unwrap();
        assert!(volume.is_same_as(&self.volume()).unwrap() && volume.usage().is_ok());
    }

    fn is_written(&mut self, wanted: &Wanted, before: Tree, written: Written) {
        let content = wanted.content().unwrap();
        let before = model::without_leftovers(before);
        let after = self.room.tree();
        assert_eq!(written == Written::Unchanged, before == after, "{written:?}");
        let mut expected = model::tree_for(&content, &self.room.generation(), wanted.group, &after);
        let visible: BTreeSet<_> = content.keys().map(|path| model::first(path).to_owned()).collect();
        // What is not of the writer's making stays where the payload does not want its name.
        expected.extend(before.into_iter().filter(|(path, entry)| !model::is_ours(path, entry, &visible)));
        assert_eq!(after, expected);
        assert_eq!(self.room.through_data(), content);
        self.is_disturbed = after.keys().any(|path| model::is_foreign(path, &visible));
        if !self.is_disturbed {
            assert_eq!(self.room.through_names(), content);
        }
        self.content = content;
        self.reads_back();
    }

    /// Ends a write where a step begins, as a crash does: nothing is cleaned up.
    fn crash(&mut self, input: &mut Input<'_>) {
        struct Crash;
        let at = input.pick(&Step::ALL);
        let wanted = Wanted::of(input, &self.room);
        let Some(payload) = payload(wanted.files.clone()) else { return };
        let before = self.room.tree();
        let mut observer = |reached| {
            if reached == at {
                // Unlike a panic, this does not end the process.
                resume_unwind(Box::new(Crash));
            }
        };
        let write =
            || write_observed(self.room.root(), &payload, wanted.group, ENDLESS, self.now, &mut observer);
        match catch_unwind(AssertUnwindSafe(write)) {
            // It ended before that step, so it ended well.
            Ok(outcome) => self.is_written(&wanted, before, outcome.unwrap()),
            Err(thrown) => {
                assert!(thrown.is::<Crash>());
                self.is_old_or_new(&wanted, at > Step::Switch);
            }
        }
    }

    /// A write that runs out of descriptors somewhere.
    fn starve(&mut self, input: &mut Input<'_>) {
        let spare = input.below(8);
        let wanted = Wanted::of(input, &self.room);
        let Some(payload) = payload(wanted.files.clone()) else { return };
        let before = self.room.tree();
        let mut last = Step::Look;
        let outcome = {
            let _few = room::FewDescriptors::left(spare);
            write_observed(self.room.root(), &payload, wanted.group, ENDLESS, self.now, &mut |step| {
                last = step
            })
        };
        match outcome {
            Ok(written) => self.is_written(&wanted, before, written),
            Err(WriteError::Sys(error)) => {
                assert!(error.is_shortage(), "{error}");
                assert_is_harmless(&WriteError::Sys(error).to_string(), 4096 * 10);
                self.is_old_or_new(&wanted, last > Step::Switch);
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// The volume as the driver has it.
    fn volume(&self) -> LiveVolume {
        LiveVolume::new(self.room.root().try_clone().unwrap())
    }

    /// After a write that did not end: never a mix, never a part.
    fn is_old_or_new(&mut self, wanted: &Wanted, has_switched: bool) {
        let seen = self.room.through_data();
        let new = wanted.content().unwrap();
        // A write of what is there already only mends, and says that it has come beyond the switch as well.
        assert!(seen == if has_switched { new } else { self.content.clone() }, "{has_switched} {seen:?}");
        if !self.is_disturbed {
            assert_eq!(self.room.through_names(), seen);
        }
        self.content = seen;
        self.reads_back();
    }

    /// `..data` is something that cannot be switched: refused, and everything is as it was.
    fn block(&mut self, input: &mut Input<'_>) {
        self.room.remove("..data");
        self.room.plant(input.below(2), "..data");
        self.is_disturbed = true;
        let wanted = Wanted::of(input, &self.room);
        let before = self.room.tree();
        self.reads_back();
        if let Some(payload) = payload(wanted.files) {
            let outcome =
                write_observed(self.room.root(), &payload, wanted.group, ENDLESS, self.now, &mut |_| {});
            assert_eq!(outcome, Err(WriteError::DataIsNoLink));
            assert!(outcome.unwrap_err().to_string().contains("delete the pod"));
        }
        assert_eq!(self.room.tree(), before);
        self.room.remove("..data");
        self.content = Content::new();
    }

    /// Puts something foreign at a visible name, or at a hidden one that is not the driver's.
    fn plant(&mut self, input: &mut Input<'_>) {
        let name = input.pick(&["a", "b", "c", ".h", "foreign", "..foreign"]);
        self.room.remove(name);
        self.room.plant(input.below(7), name);
        self.is_disturbed = true;
    }

    /// Leaves what a crash of any writer could have left.
    fn litter(&mut self, input: &mut Input<'_>) {
        let name = input.pick(&["..data_tmp", "..link_tmp", "..2020_01_01_00_00_00.7", "..1"]);
        if self.room.generation() != name {
            self.room.remove(name);
            self.room.litter(input.is_set(), name);
        }
    }

    /// Takes away a visible name, a file of the live generation, or the switch itself.
    fn damage(&mut self, input: &mut Input<'_>) {
        match input.below(4) {
            0 => self.room.remove(input.pick(&["a", "b", "c", ".h"])),
            1 => self.room.remove("..data"),
            2 => self.room.lead_data_to(input.pick(&[
                "nowhere",
                "..1",
                "../victim",
                "..2020_01_01_00_00_00.7",
            ])),
            _ => {
                if let Some(path) = self.content.keys().next() {
                    self.room.damage(path, input.below(3));
                }
            }
        }
        self.content = self.room.through_data();
        self.is_disturbed = true;
        self.reads_back();
        // Through a link that leads out nothing is to be seen that the writer answers for.
        if self
            .room
            .generation()
            .to_str()
            .is_none_or(|name| !name.starts_with("..1") && !name.starts_with("..2"))
        {
            self.content.clear();
            self.room.remove("..data");
        }
    }

    fn give_to_group(&mut self, input: &mut Input<'_>) {
        let Some(group) = self.room.group(input) else { return };
        let before = self.room.tree();
        let volume = self.volume();
        volume.give_to_group(group).unwrap();
        let after = self.room.tree();
        assert!(before.keys().eq(after.keys()));
        for (before, after) in before.into_values().zip(after.into_values()) {
            let expected = match before {
                Entry::File(mode, contents, _) => Entry::File(mode | (mode & 0o400) >> 3, contents, group),
                Entry::Directory(mode, _) => Entry::Directory(mode | 0o050, group),
                link => link,
            };
            assert_eq!(after, expected);
        }
        self.content = self.room.through_data();
        self.room.assert_nothing_happened_outside();
    }

    /// The volume's own reader sees each file, and at no path anything that is not of the volume.
    fn reads_back(&self) {
        let volume = self.volume();
        let content = volume.content().unwrap();
        if self.is_disturbed {
            return;
        }
        for (path, (_, bytes)) in &self.content {
            let read = content.read(path, bytes.len()).unwrap();
            assert!(read.is_some_and(|read| read.expose() == bytes), "{path} is read as something else");
            if !bytes.is_empty() {
                let error = content.read(path, bytes.len() - 1).unwrap_err();
                assert!(!error.is_replaced(), "{path} is read beyond the limit: {error}");
                assert_is_harmless(&error.to_string(), 200);
            }
        }
        assert!(content.changed() >= UNIX_EPOCH);
    }

    fn read_anything(&mut self, input: &mut Input<'_>) {
        self.read_starving(input);
        let path = match input.below(3) {
            0 => input.text(),
            1 => format!("{}/{}", input.pick(&["a", "b", "foreign", "c"]), input.text()),
            _ => input.pick(&READ).to_owned(),
        };
        let volume = self.volume();
        match volume.content().unwrap().read(&path, 64 * 1024) {
            Ok(Some(read)) => assert!(read.expose() != room::PRECIOUS, "{path} leads out of the volume"),
            Ok(None) => {
                assert!(self.is_disturbed || !self.content.contains_key(&path), "{path} is not found")
            }
            Err(error) => assert_is_harmless(&error.to_string(), 4096 * 10),
        }
    }

    /// A reader that runs out of descriptors says so, and never that there is nothing.
    fn read_starving(&self, input: &mut Input<'_>) {
        let (volume, path) = (self.volume(), input.pick(&PATHS));
        let outcome = {
            let _few = room::FewDescriptors::left(input.below(6));
            volume.content().map_err(ContentError::from).and_then(|content| content.read(path, 64 * 1024))
        };
        match outcome {
            Ok(Some(read)) => assert!(read.expose() != room::PRECIOUS, "{path} leads out of the volume"),
            Ok(None) => assert!(self.is_disturbed || !self.content.contains_key(path), "{path} is not found"),
            Err(ContentError::Sys(error)) => assert!(error.is_shortage(), "{error}"),
            Err(error) => panic!("{error}"),
        }
    }

    /// The last write always goes through, and then everything can be taken away.
    fn end(mut self) {
        let wanted = Wanted { files: vec![("a/x".to_owned(), 0, b"last".to_vec())], group: None };
        self.write(&wanted);
        let volume = self.volume();
        volume.close_and_empty().unwrap();
        assert_eq!(self.room.tree(), Tree::new());
        self.room.assert_nothing_happened_outside();
    }
}

/// Only the kernel has limits here.
const ENDLESS: ContentLimits = ContentLimits { bytes: u64::MAX, inodes: u64::MAX };
/// Longer histories say no more than several short ones.
const MOST_STEPS: usize = 8;
const PATHS: [&str; 14] =
    ["a", "b", "c", ".h", "a/x", "a/y", "b/x", "b/x/y", "c/d", "c/d/e", "c/d/f", "c/..g", ".h/i", "z"];
const READ: [&str; 8] =
    ["a", "b/file", "foreign", "foreign/file", "foreign/bait/file", "c/directory/file", "a/x/f", "c/x"];
const CONTENTS: [&str; 5] = ["", "1", "2", "secret", "a much longer secret"];
const MODES: [i32; 6] = [0, 0o400, 0o644, 0o777, 0o4755, -1];
