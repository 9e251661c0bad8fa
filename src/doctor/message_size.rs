//! The largest answer of a provider that is taken, against the memory that there is for it.

use super::finding::Finding;
use super::subject::Subject;
use sys::proc;

/// `--max-call-recv-msg-size` and the container's memory limit.
pub fn check(subject: &Subject) -> Vec<Finding> {
    let limit = MEMORY_FILES.iter().find_map(|file| memory_limit(&proc::read(file).ok()?));
    vec![judge(subject.config().max_call_recv_msg_size, limit)]
}

fn judge(answer: usize, memory: Option<u64>) -> Finding {
    const SIZE: &str = "message-size";
    let answer = u64::try_from(answer).unwrap_or(u64::MAX);
    let memory_shown = memory.map_or("no memory limit".to_owned(), |memory| format!("memory limit {memory}"));
    let what = format!("a provider's answer may have {answer} bytes, {memory_shown}");
    if memory.is_some_and(|memory| answer > memory) {
        let remedy =
            "raise the memory limit (chart: linux.driver.resources) or lower --max-call-recv-msg-size";
        return Finding::warning(SIZE, what, remedy);
    }
    Finding::good(
        SIZE,
        format!("{what}; a larger one ends with \"received message larger than max\": {RAISE}"),
    )
}

/// The limit that a control group's file names; none where there is no limit.
fn memory_limit(file: &[u8]) -> Option<u64> {
    let limit = str::from_utf8(file).ok()?.trim().parse().ok()?;
    // The older form writes the largest number of pages for none.
    (limit < NO_LIMIT).then_some(limit)
}

/// As a container sees its own control group, in its newer and its older form.
const MEMORY_FILES: [&str; 2] = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
const NO_LIMIT: u64 = 1 << 60;
const RAISE: &str = "then raise --max-call-recv-msg-size (chart: maxCallRecvMsgSize) and the memory limit";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Verdict;

    #[test]
    fn an_answer_has_to_fit_into_the_memory() {
        let rows = [
            (4 << 20, None, Verdict::Good),
            (4 << 20, Some(200 << 20), Verdict::Good),
            (200 << 20, Some(200 << 20), Verdict::Good),
            ((200 << 20) + 1, Some(200 << 20), Verdict::Warning),
        ];
        for (answer, memory, verdict) in rows {
            assert_eq!(judge(answer, memory).verdict, verdict, "{answer} {memory:?}");
        }
        let what = judge(4_194_304, None).what;
        assert!(
            what.contains("4194304 bytes") && what.contains("received message larger than max"),
            "{what}"
        );
    }

    #[test]
    fn a_control_groups_limit_is_read_in_both_forms() {
        let rows = [
            ("209715200\n", Some(209_715_200)),
            ("max\n", None),
            ("9223372036854771712\n", None),
            ("", None),
        ];
        for (file, limit) in rows {
            assert_eq!(memory_limit(file.as_bytes()), limit, "{file}");
        }
    }
}
