//! The atomic writer: makes a payload the content of a volume so that every reader sees the old content or the
//! new, never a mix and never nothing.
//!
//! The steps, and what a crash (or a failure) in each leaves behind:
//!
//! 1.  *Look*: read which generation `..data` names. Nothing has changed.
//! 2.  *Sweep*: remove what an earlier crash left: generations that are not live, temporary names. A crash here
//!     leaves fewer leftovers; the next write goes on.
//! 3.  *Compare*: when paths, contents, modes and group are those of the live generation and every visible link
//!     is in place, stop; the volume has not been touched. What does not fit is refused here as well.
//! 4.  *Create* the directory of the new generation, mode 0700. Leaves an empty directory that no link names.
//! 5.  *Fill* it: directories, files, group, then modes. Leaves a partial directory that no link names.
//! 6.  *Open* it (0755). Leaves a whole directory that no link names.
//! 7.  *Link* the visible names that the root lacks to `..data/<name>`. Leaves links that lead nowhere until the
//!     switch: such a name does not open, exactly as before.
//! 8.  *Point* `..data_tmp` at the new generation. Leaves one temporary link.
//! 9.  *Switch*: rename `..data_tmp` over `..data`, in one step. From here on the new content is live, and a
//!     crash leaves the old generation beside it.
//! 10. *Replace* entries of the root that are no link of ours (a provider wrote them itself once) by links,
//!     swapping each in one step. Leaves some of them in their old form, readable.
//! 11. *Unlink* the names that the new content lacks. Leaves links that lead nowhere.
//! 12. *Drop* the old generation. Leaves part of it, named by nothing.
//!
//! Readers that opened a file keep it. The kernel walks a path name by name, so one that is on its way through the
//! old generation while that is dropped may find no such file, and the new one when it looks again.
//!
//! Whatever a crash in 4 to 8 left is swept in step 2 of the next write; what one in 9 to 12 left is seen in step
//! 3 and finished. A failure (as opposed to a crash) in 4 to 8 undoes itself. A tmpfs does not outlive the
//! machine, so nothing is synced to disk.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use base::timestamp::Timestamp;
use sys::at::{self, Dir, EntryKind, SysError};

use super::limits::{self, ContentLimits};
use super::payload::{File, FileMode, Payload};
use super::tree;

mod compare;
mod error;

pub use compare::holds;
pub use error::WriteError;

/// What a write did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// The volume's content is new, or was completed after a crash.
    Changed,
    /// The volume had this very content; nothing in it was touched.
    Unchanged,
}

/// The numbered steps of this module's description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the module's description is their documentation")]
pub enum Step {
    Look = 1,
    Sweep,
    Compare,
    Create,
    Fill,
    Open,
    Link,
    Point,
    Switch,
    Replace,
    Unlink,
    Drop,
}

impl Step {
    /// All, in their order.
    pub const ALL: [Step; 12] = [
        Step::Look,
        Step::Sweep,
        Step::Compare,
        Step::Create,
        Step::Fill,
        Step::Open,
        Step::Link,
        Step::Point,
        Step::Switch,
        Step::Replace,
        Step::Unlink,
        Step::Drop,
    ];
}

/// Makes `payload` the content of the volume whose root is `root`.
///
/// With a group, files and directories belong to it and are readable by it where their owner may read. `now`
/// names the generation. Not to be called twice at a time for one volume.
pub fn write(
    root: &Dir,
    payload: &Payload,
    group: Option<u32>,
    limits: ContentLimits,
    now: SystemTime,
) -> Result<Written, WriteError> {
    write_observed(root, payload, group, limits, now, &mut |_| {})
}

/// [`write()`], telling `reached` of each step as it begins.
pub fn write_observed(
    root: &Dir,
    payload: &Payload,
    group: Option<u32>,
    limits: ContentLimits,
    now: SystemTime,
    reached: &mut dyn FnMut(Step),
) -> Result<Written, WriteError> {
    Writer { root, payload, group, limits, now, reached }.run()
}

struct Writer<'a> {
    root: &'a Dir,
    payload: &'a Payload,
    group: Option<u32>,
    limits: ContentLimits,
    now: SystemTime,
    reached: &'a mut dyn FnMut(Step),
}

impl Writer<'_> {
    fn run(mut self) -> Result<Written, WriteError> {
        self.begin(Step::Look);
        let live = self.live_generation()?;

        self.begin(Step::Sweep);
        self.sweep(live.as_deref())?;

        self.begin(Step::Compare);
        let same = self.is_payload(live.as_deref())?;
        if same && self.links_are_complete()? {
            return Ok(Written::Unchanged);
        }

        if same {
            // A crash came after the switch: only the links are left to do.
            self.begin(Step::Link);
            self.link_missing_names(&mut Vec::new())?;
        } else {
            limits::judge(self.root, self.payload, self.limits)?;
            self.switch_to_new_generation()?;
        }

        self.begin(Step::Replace);
        self.replace_foreign_entries()?;
        self.begin(Step::Unlink);
        self.unlink_stale_names()?;
        self.begin(Step::Drop);
        match live {
            Some(old) if !same => tree::remove(self.root, &old)?,
            _ => {}
        }
        Ok(Written::Changed)
    }

    /// Steps 4 to 9; whatever they made is undone when one fails.
    fn switch_to_new_generation(&mut self) -> Result<(), WriteError> {
        self.begin(Step::Create);
        let (name, generation) = self.create_generation()?;
        let mut linked = Vec::new();
        let switched = self.fill_and_switch(&name, &generation, &mut linked);
        if switched.is_err() {
            linked.extend([OsString::from(DATA_TMP), name]);
            for leftover in linked {
                if let Err(error) = tree::remove(self.root, &leftover) {
                    // The sweep of the next write gets it.
                    log::warn!(error:% = error; "could not undo a failed write");
                }
            }
        }
        switched
    }

    fn fill_and_switch(
        &mut self,
        name: &OsStr,
        generation: &Dir,
        linked: &mut Vec<OsString>,
    ) -> Result<(), WriteError> {
        self.begin(Step::Fill);
        for directory in self.payload.directories() {
            let (above, own) = directory.rsplit_once('/').unwrap_or(("", directory));
            let above = tree::open_beneath(generation, Path::new(above))?;
            let made = above.as_ref().unwrap_or(generation).create_dir(own.as_ref(), DIRECTORY_MODE)?;
            self.give_to_group(&made)?;
        }
        for (path, file) in self.payload.files() {
            let (above, own) = path.split();
            let above = tree::open_beneath(generation, Path::new(above))?;
            self.write_file(above.as_ref().unwrap_or(generation), own, file)?;
        }

        self.begin(Step::Open);
        self.give_to_group(generation)?;
        generation.set_mode(DIRECTORY_MODE)?;

        self.begin(Step::Link);
        self.link_missing_names(linked)?;

        self.begin(Step::Point);
        self.root.create_symlink(name, DATA_TMP.as_ref())?;

        self.begin(Step::Switch);
        self.root.rename(DATA_TMP.as_ref(), DATA.as_ref())?;
        Ok(())
    }

    fn begin(&mut self, step: Step) {
        (self.reached)(step);
    }

    /// The name of the generation that `..data` leads to. A link that leads nowhere counts as none.
    fn live_generation(&self) -> Result<Option<OsString>, WriteError> {
        match self.root.metadata_of(DATA.as_ref()) {
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error.into()),
            Ok(found) if found.kind != EntryKind::Symlink => return Err(WriteError::DataIsNoLink),
            Ok(_) => {}
        }
        let name = self.root.read_link(DATA.as_ref())?;
        if !is_generation_name(&name) {
            return Ok(None);
        }
        match self.root.metadata_of(&name) {
            Ok(found) if found.kind == EntryKind::Directory => Ok(Some(name)),
            Ok(_) => Ok(None),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn sweep(&self, live: Option<&OsStr>) -> Result<(), WriteError> {
        for name in self.root.names()? {
            let ours = is_generation_name(&name) || name == DATA_TMP || name == LINK_TMP;
            if ours && Some(name.as_os_str()) != live {
                tree::remove(self.root, &name)?;
            }
        }
        Ok(())
    }

    fn create_generation(&self) -> Result<(OsString, Dir), WriteError> {
        let mut nanos = self.now.duration_since(UNIX_EPOCH).unwrap_or_default().subsec_nanos();
        let Timestamp { year, month, day, hour, minute, second, .. } = Timestamp::from(self.now);
        loop {
            let name = OsString::from(format!(
                "..{year:04}_{month:02}_{day:02}_{hour:02}_{minute:02}_{second:02}.{nanos:09}"
            ));
            match self.root.create_dir(&name, 0o700) {
                Ok(dir) => return Ok((name, dir)),
                // The live generation was made within the same nanosecond of a clock that stands still.
                Err(error) if error.already_exists() => nanos = nanos.wrapping_add(1),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn write_file(&self, directory: &Dir, name: &str, file: &File) -> Result<(), WriteError> {
        let mut created = directory.create_file(name.as_ref())?;
        created.write_all(file.contents.expose()).map_err(|error| at::io_error("write", name, &error))?;
        if let Some(gid) = self.group {
            at::set_group(&created, gid)?;
        }
        // After the group: a change of owner may clear bits.
        at::set_mode(&created, self.mode_of(file).bits())?;
        Ok(())
    }

    fn mode_of(&self, file: &File) -> FileMode {
        if self.group.is_some() { file.mode.readable_by_group() } else { file.mode }
    }

    fn give_to_group(&self, dir: &Dir) -> Result<(), SysError> {
        self.group.map_or(Ok(()), |gid| dir.set_group(gid))
    }

    fn link_missing_names(&self, linked: &mut Vec<OsString>) -> Result<(), WriteError> {
        for name in self.payload.visible_names() {
            let name = OsStr::new(name);
            match self.root.create_symlink(&visible_link(name), name) {
                Ok(()) => linked.push(name.to_owned()),
                Err(error) if error.already_exists() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn replace_foreign_entries(&self) -> Result<(), WriteError> {
        for name in self.payload.visible_names() {
            let name = OsStr::new(name);
            if self.is_link_of_ours(name)? {
                continue;
            }
            self.root.create_symlink(&visible_link(name), LINK_TMP.as_ref())?;
            match self.root.exchange(LINK_TMP.as_ref(), name) {
                Ok(()) => tree::remove(self.root, LINK_TMP.as_ref())?,
                // It vanished meanwhile: whoever wrote it is still at work.
                Err(error) if error.is_not_found() => self.root.rename(LINK_TMP.as_ref(), name)?,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn unlink_stale_names(&self) -> Result<(), WriteError> {
        for name in self.stale_names()? {
            self.root.remove_file(&name)?;
        }
        Ok(())
    }

    /// Links of ours to names that the payload lacks.
    fn stale_names(&self) -> Result<Vec<OsString>, SysError> {
        let wanted: BTreeSet<&OsStr> = self.payload.visible_names().into_iter().map(OsStr::new).collect();
        let mut stale = Vec::new();
        for name in self.root.names()? {
            let hidden = name.as_bytes().starts_with(b"..");
            if !hidden && !wanted.contains(name.as_os_str()) && self.is_link_of_ours(&name)? {
                stale.push(name);
            }
        }
        Ok(stale)
    }
}

pub(super) fn visible_link(name: &OsStr) -> OsString {
    let mut link = OsString::from(DATA);
    link.push("/");
    link.push(name);
    link
}

/// `..` and then digits, underscores and dots with at least one digit first: ours, and the upstream driver's.
pub(super) fn is_generation_name(name: &OsStr) -> bool {
    let Some(rest) = name.as_bytes().strip_prefix(b"..") else {
        return false;
    };
    rest.first().is_some_and(u8::is_ascii_digit)
        && rest.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b'_' | b'.'))
}

pub(super) const DATA: &str = "..data";
const DATA_TMP: &str = "..data_tmp";
const LINK_TMP: &str = "..link_tmp";
/// Directories only lead to files, whose own modes decide.
const DIRECTORY_MODE: u32 = 0o755;

#[cfg(test)]
mod tests;
