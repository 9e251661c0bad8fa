//! Leadership: who holds the Lease may write. Pure: both clocks are arguments, and nothing is sent here.
//!
//! Whether another holder is still alive is judged by how long its record has not changed, on this process's own
//! monotonic clock. The times in the record are those of another machine's clock and are only for people, so a clock
//! that is wrong or jumps costs nobody the lease and gives it to nobody.

use std::time::{Duration, Instant, SystemTime};

use serde_json::{Map, Value, json};

use super::identity::LEASE;
use crate::command_line::LeaseTimes;
use base::timestamp::rfc3339_micros;

/// One who wants to lead, or does.
#[derive(Debug)]
pub struct Candidate {
    identity: String,
    /// What every identity of this pod begins with; empty where the pod is not known.
    pod: String,
    times: LeaseTimes,
    /// The record of another as last seen to change, and when.
    observed: Option<(Value, Instant)>,
    /// When the lease was last known to be ours.
    renewed: Option<Instant>,
}

/// What to do about the lease now.
#[derive(Clone, Debug, PartialEq)]
pub enum Move {
    /// It is made.
    Create(Value),
    /// It is taken or kept: this is what it becomes, unless somebody has changed it meanwhile.
    Update(Value),
    /// Another leads.
    Wait {
        /// Who.
        holder: String,
    },
}

impl LeaseTimes {
    /// Those of client-go's leader election as OpenShift sets them, for a control plane of several machines.
    pub const USUAL: LeaseTimes = LeaseTimes {
        duration: Duration::from_secs(137),
        renew_deadline: Duration::from_secs(107),
        retry_period: Duration::from_secs(26),
    };
    /// For a control plane of one machine, whose API server is away for longer.
    pub const SINGLE_REPLICA: LeaseTimes = LeaseTimes {
        duration: Duration::from_secs(270),
        renew_deadline: Duration::from_secs(240),
        retry_period: Duration::from_secs(60),
    };
}

impl Candidate {
    /// `pod` is the pod's name, empty where nobody says; `chance` tells processes of one pod apart.
    pub fn new(pod: &str, chance: &str, times: LeaseTimes) -> Candidate {
        let name = if pod.is_empty() { "operator" } else { pod };
        Candidate {
            identity: format!("{name}_{chance}"),
            pod: pod.to_owned(),
            times,
            observed: None,
            renewed: None,
        }
    }

    /// Its name in the lease.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// What to do about the lease, which is `live`.
    pub fn consider(
        &mut self,
        live: Option<&Value>,
        now: Instant,
        wall: SystemTime,
        namespace: &str,
    ) -> Move {
        let Some(live) = live else {
            let spec = self.spec(None, wall);
            return Move::Create(json!({
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": LEASE, "namespace": namespace},
                "spec": spec,
            }));
        };
        let spec = live.get("spec").cloned().unwrap_or_default();
        let holder = text(&spec, "holderIdentity").to_owned();
        if !self.may_take(&spec, &holder, now) {
            return Move::Wait { holder };
        }
        let mut next = live.clone();
        if let Some(fields) = next.as_object_mut() {
            fields.insert("spec".to_owned(), self.spec(Some(&spec), wall));
        }
        Move::Update(next)
    }

    /// The write that [`Candidate::consider`] asked for was carried out; it was begun at `begun`.
    pub fn renewed(&mut self, begun: Instant) {
        self.renewed = Some(begun);
        self.observed = None;
    }

    /// Another holds the lease.
    pub fn lost(&mut self) {
        self.renewed = None;
    }

    /// Whether this process may act as the leader: for as long as nobody else can have begun to.
    pub fn leads(&self, now: Instant) -> bool {
        self.renewed.is_some_and(|at| now.saturating_duration_since(at) < self.times.renew_deadline)
    }

    /// What the lease becomes when the leader steps down; none when it is another's.
    pub fn release(&self, live: &Value, wall: SystemTime) -> Option<Value> {
        let mut next = live.clone();
        let spec = next.get_mut("spec")?.as_object_mut()?;
        if spec.get("holderIdentity").and_then(Value::as_str) != Some(&self.identity) {
            return None;
        }
        let now = rfc3339_micros(wall);
        spec.insert("holderIdentity".to_owned(), json!(""));
        spec.insert("leaseDurationSeconds".to_owned(), json!(1));
        spec.insert("renewTime".to_owned(), json!(now));
        spec.insert("acquireTime".to_owned(), json!(now));
        Some(next)
    }

    fn may_take(&mut self, spec: &Value, holder: &str, now: Instant) -> bool {
        // An earlier process of this very pod is gone, or this one would not run.
        let is_of_this_pod =
            !self.pod.is_empty() && holder.strip_prefix(&self.pod).is_some_and(|rest| rest.starts_with('_'));
        if holder.is_empty() || holder == self.identity || is_of_this_pod {
            return true;
        }
        let since = match &self.observed {
            Some((seen, since)) if seen == spec => *since,
            _ => {
                self.observed = Some((spec.clone(), now));
                now
            }
        };
        // Its own word on how long it leads, if it is longer: it may be of another kind of cluster.
        let said = spec.get("leaseDurationSeconds").and_then(Value::as_u64).unwrap_or(0);
        let said = Duration::from_secs(said.min(LONGEST_DURATION_SECONDS));
        now.saturating_duration_since(since) >= said.max(self.times.duration)
    }

    fn spec(&self, before: Option<&Value>, wall: SystemTime) -> Value {
        let now = rfc3339_micros(wall);
        let mut spec = before.and_then(Value::as_object).cloned().unwrap_or_else(Map::new);
        let is_ours = spec.get("holderIdentity").and_then(Value::as_str) == Some(&self.identity);
        if !is_ours {
            let transitions = spec.get("leaseTransitions").and_then(Value::as_i64).unwrap_or(0);
            let transitions = if before.is_some() { transitions.saturating_add(1) } else { 0 };
            spec.insert("acquireTime".to_owned(), json!(now));
            spec.insert("leaseTransitions".to_owned(), json!(transitions));
        }
        spec.insert("holderIdentity".to_owned(), json!(self.identity));
        spec.insert("leaseDurationSeconds".to_owned(), json!(self.times.duration.as_secs()));
        spec.insert("renewTime".to_owned(), json!(now));
        Value::Object(spec)
    }
}

fn text<'a>(spec: &'a Value, name: &str) -> &'a str {
    spec.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// A record that claims more is not believed: an hour is far beyond any setting of ours.
const LONGEST_DURATION_SECONDS: u64 = 3600;

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    const TIMES: LeaseTimes = LeaseTimes::USUAL;

    fn seconds(number: u64) -> Duration {
        Duration::from_secs(number)
    }

    fn wall() -> SystemTime {
        UNIX_EPOCH + seconds(1_775_034_487)
    }

    fn considered(candidate: &mut Candidate, live: Option<&Value>, now: Instant) -> Move {
        candidate.consider(live, now, wall(), "storage")
    }

    fn taken(candidate: &mut Candidate, live: Option<&Value>, now: Instant) -> Value {
        match considered(candidate, live, now) {
            Move::Create(lease) | Move::Update(lease) => {
                candidate.renewed(now);
                lease
            }
            Move::Wait { holder } => panic!("{holder} leads"),
        }
    }

    #[test]
    fn the_first_makes_the_lease_and_keeps_it() {
        let (mut one, now) = (Candidate::new("one", "a", TIMES), Instant::now());
        let lease = taken(&mut one, None, now);
        assert_eq!(lease["metadata"], json!({"name": LEASE, "namespace": "storage"}));
        assert_eq!(lease["spec"]["holderIdentity"], "one_a");
        assert_eq!(lease["spec"]["leaseDurationSeconds"], 137);
        assert_eq!(lease["spec"]["leaseTransitions"], 0);
        assert_eq!(lease["spec"]["acquireTime"], "2026-04-01T09:08:07.000000Z");
        let kept = one.consider(Some(&lease), now, wall() + seconds(26), "storage");
        let Move::Update(kept) = kept else { panic!("{kept:?}") };
        assert_eq!(kept["spec"]["acquireTime"], lease["spec"]["acquireTime"]);
        assert_eq!(kept["spec"]["leaseTransitions"], 0);
        assert_ne!(kept["spec"]["renewTime"], lease["spec"]["renewTime"]);
    }

    #[test]
    fn another_waits_as_long_as_the_record_changes_whatever_the_clocks_say() {
        let start = Instant::now();
        let mut lease = taken(&mut Candidate::new("one", "a", TIMES), None, start);
        let mut two = Candidate::new("two", "b", TIMES);
        for turn in 0..10u64 {
            // A clock that stands at the beginning of time, and then one that is a century ahead.
            lease["spec"]["renewTime"] =
                json!(format!("{}-01-01T00:00:00.{turn:06}Z", [1970, 2126][turn as usize % 2]));
            let now = start + seconds(turn * 100);
            let waits = considered(&mut two, Some(&lease), now);
            assert_eq!(waits, Move::Wait { holder: "one_a".into() }, "{turn}");
        }
        let silent_since = start + seconds(900);
        assert!(matches!(considered(&mut two, Some(&lease), silent_since + seconds(136)), Move::Wait { .. }));
        let taken = taken(&mut two, Some(&lease), silent_since + seconds(137));
        assert_eq!(
            (&taken["spec"]["holderIdentity"], &taken["spec"]["leaseTransitions"]),
            (&json!("two_b"), &json!(1))
        );
    }

    #[test]
    fn a_record_that_lasts_longer_is_waited_for_but_not_for_ever() {
        let start = Instant::now();
        let lease = |said: u64| json!({"spec": {"holderIdentity": "one_a", "leaseDurationSeconds": said}});
        for (said, waits) in [(1, 137), (270, 270), (1_000_000, 3600)] {
            let (mut two, lease) = (Candidate::new("two", "b", TIMES), lease(said));
            considered(&mut two, Some(&lease), start);
            assert!(matches!(
                considered(&mut two, Some(&lease), start + seconds(waits - 1)),
                Move::Wait { .. }
            ));
            assert!(
                matches!(considered(&mut two, Some(&lease), start + seconds(waits)), Move::Update(_)),
                "{said}"
            );
        }
    }

    #[test]
    fn a_lease_that_nobody_holds_or_that_an_earlier_process_of_this_pod_held_is_taken_at_once() {
        let now = Instant::now();
        for (holder, is_taken) in
            [("", true), ("two_old", true), ("two_b", true), ("twofold_a", false), ("one_a", false)]
        {
            let lease = json!({"spec": {"holderIdentity": holder, "leaseTransitions": 4}});
            let answer = considered(&mut Candidate::new("two", "b", TIMES), Some(&lease), now);
            assert_eq!(matches!(answer, Move::Update(_)), is_taken, "{holder}");
        }
        let lease = json!({"spec": {"holderIdentity": "_old"}});
        let answer = considered(&mut Candidate::new("", "b", TIMES), Some(&lease), now);
        assert!(matches!(answer, Move::Wait { .. }), "a pod that is not known has had no earlier process");
    }

    #[test]
    fn a_leader_that_could_not_renew_stops_before_anybody_else_can_begin() {
        let (mut one, start) = (Candidate::new("one", "a", TIMES), Instant::now());
        assert!(!one.leads(start));
        taken(&mut one, None, start);
        assert!(one.leads(start + seconds(106)) && !one.leads(start + seconds(107)));
        one.lost();
        assert!(!one.leads(start));
        for times in [LeaseTimes::USUAL, LeaseTimes::SINGLE_REPLICA] {
            assert!(times.retry_period < times.renew_deadline && times.renew_deadline < times.duration);
        }
    }

    #[test]
    fn stepping_down_leaves_the_lease_to_whoever_comes_first_and_never_takes_anothers() {
        let (mut one, now) = (Candidate::new("one", "a", TIMES), Instant::now());
        let lease = taken(&mut one, None, now);
        let released = one.release(&lease, wall()).unwrap();
        assert_eq!(
            (&released["spec"]["holderIdentity"], &released["spec"]["leaseDurationSeconds"]),
            (&json!(""), &json!(1))
        );
        assert!(matches!(
            considered(&mut Candidate::new("two", "b", TIMES), Some(&released), now),
            Move::Update(_)
        ));
        assert_eq!(Candidate::new("two", "b", TIMES).release(&lease, wall()), None);
    }
}
