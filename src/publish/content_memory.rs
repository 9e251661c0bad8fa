//! The memory that the content of one volume takes, as far as it is charged to the driver's pod.
//!
//! The kernel charges it to the pod in which it was written, and to that alone: a later pod of the driver's has the
//! volume, but not its content's memory, until it writes other content. So whoever wrote it is remembered, and kept for
//! the process that comes after this one. What nobody knows counts: at the limit the kernel kills the driver.

use std::time::SystemTime;

use super::own_pod::PodUid;

/// Where content came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The driver's pod in which it was written.
    pub pod: PodUid,
    /// When the volume's root says that its names last changed: another time means that others have written since.
    pub changed: SystemTime,
}

/// What the content of a volume takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ContentMemory {
    /// What of it is charged to the pod of this process, in bytes.
    pub bytes: u64,
    /// Where it came from; `None` where that is not known, or where a provider wrote it.
    pub origin: Option<Origin>,
}

impl ContentMemory {
    /// That of content which a process in the pod `own` has just written.
    pub fn written(bytes: u64, changed: SystemTime, own: Option<PodUid>) -> ContentMemory {
        ContentMemory { bytes, origin: own.map(|pod| Origin { pod, changed }) }
    }

    /// That of content which an earlier process left, to one in the pod `own`. `kept` is what was kept of its origin.
    pub fn inherited(
        bytes: u64,
        changed: SystemTime,
        kept: Option<Origin>,
        own: Option<PodUid>,
    ) -> ContentMemory {
        let origin = kept.filter(|origin| origin.changed == changed);
        let is_anothers = origin.zip(own).is_some_and(|(origin, own)| origin.pod != own);
        ContentMemory { bytes: if is_anothers { 0 } else { bytes }, origin }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn only_content_that_is_known_to_be_of_another_pod_is_not_counted() {
        let [ours, theirs] = ["0", "1"].map(|digit| PodUid::parse(&digit.repeat(32)).unwrap());
        let [then, later] = [5, 6].map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds));
        let of = |pod| Some(Origin { pod, changed: then });
        let rows = [
            ("of another pod", of(theirs), then, Some(ours), 0, of(theirs)),
            ("of this pod", of(ours), then, Some(ours), 7, of(ours)),
            ("of nobody known", None, then, Some(ours), 7, None),
            ("written since it was kept", of(theirs), later, Some(ours), 7, None),
            ("where this pod is not known", of(theirs), then, None, 7, of(theirs)),
        ];
        for (name, kept, changed, own, bytes, origin) in rows {
            let found = ContentMemory::inherited(7, changed, kept, own);
            assert_eq!(found, ContentMemory { bytes, origin }, "{name}");
        }
    }

    #[test]
    fn what_is_written_is_of_this_pod() {
        let own = PodUid::parse(&"0".repeat(32));
        let written = ContentMemory::written(7, UNIX_EPOCH, own);
        assert_eq!(ContentMemory::inherited(7, UNIX_EPOCH, written.origin, own), written);
        assert_eq!(ContentMemory::written(7, UNIX_EPOCH, None), ContentMemory { bytes: 7, origin: None });
    }
}
