//! One turn of the loop: look at what is asked for and at what is there, bring the two together, report.
//!
//! A turn depends on nothing but what the API server says, so it may be cut off anywhere and begun again by this process
//! or the next. It writes nothing where there is nothing to change.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::cluster::{Cluster, budget, request};
use super::conditions::Status;
use super::failure::Failure;
use super::foreign;
use super::former_rights;
use super::identity::{self, FOREIGN_NAMESPACE, FOREIGN_NODE, KEPT_TOKENS};
use super::management::Course;
use super::openshift::{Features, merge_patch, observed_config};
use super::pace::Pace;
use super::piece::Piece;
use super::plan::{Rollout, generation, live_tokens, rollout};
use super::quarrel::{Quarrel, rival};
use super::render::{Desired, Inputs, render_one};
use super::report::{Found, Place};
use super::spec::{ManagementState, Spec};
use super::tls_profile::TlsProfile;
use crate::command_line::Operand;
use base::lock::Mutex;
use base::logging;
use kube::object::ObjectRef;
use kube::resource::{API_SERVERS, DAEMON_SETS, PROXIES, SECURITY_CONSTRAINTS};

/// Turns the loop.
pub struct Reconciler {
    pub(super) cluster: Cluster,
    pub(super) operand: Operand,
    pub(super) namespace: String,
    pub(super) finalizer: String,
    features: Option<(Features, Instant)>,
    verbosity: Option<i32>,
    is_idle: bool,
    /// Whether the log has been told that another installation may not be looked for.
    is_blind: AtomicBool,
    /// When another installation was last looked for and not found.
    alone_at: Mutex<Option<Instant>>,
    /// Identity and generation of the DaemonSet as the operator left it, which the status may say a little later.
    left: Option<(Value, i64)>,
    pub(super) quarrel: Quarrel,
    pub(super) pace: Pace,
    /// How long a report has to wait that was not written yet.
    pub(super) report_due: Option<Duration>,
}

impl Reconciler {
    /// For the driver `operand` in `namespace`. `operator` is what the finalizer begins with.
    pub fn new(cluster: Cluster, operand: Operand, namespace: String, operator: &str) -> Reconciler {
        let finalizer = identity::finalizer(operator);
        Reconciler {
            cluster,
            operand,
            namespace,
            finalizer,
            features: None,
            verbosity: None,
            is_idle: false,
            is_blind: AtomicBool::new(false),
            alone_at: Mutex::default(),
            left: None,
            quarrel: Quarrel::default(),
            pace: Pace::default(),
            report_due: None,
        }
    }

    /// One turn. What is wrong is in the conditions, if they could be written.
    ///
    /// # Errors
    /// [`Failure`], the first one, where trying again soon may help.
    pub fn turn(&mut self) -> Result<(), Failure> {
        self.report_due = None;
        let features = self.features()?;
        let Some(object) = self.cluster.find(&request())? else {
            if !std::mem::replace(&mut self.is_idle, true) {
                log::info!(name = identity::DRIVER; "there is no such ClusterCSIDriver, nothing is touched");
            }
            self.cluster.metrics.degraded(0);
            return Ok(());
        };
        self.is_idle = false;
        let spec = Spec::read(&object);
        self.adjust_log(&spec);
        let is_going = super::plan::is_going(&object);
        let management =
            ManagementState::read(&object).unwrap_or_else(|_| ManagementState::Other("not text".to_owned()));
        let course = management.course(is_going);
        let mut found = Found::default();
        // What cannot be read cannot be installed, and says so where people look.
        let course = match (course, &spec) {
            (Course::Apply, Err(error)) => {
                found.statics = Some(vec![error.to_string()]);
                found.node = vec![error.to_string()];
                Course::LeaveAlone
            }
            (course, _) => course,
        };
        let object =
            if features.has_config && !is_going { self.observe(object, &mut found)? } else { object };
        let status = Status::read(&object);
        let rival = rival(&object).to_owned();
        let outcome = match course {
            Course::Apply => self.install(object, &spec.unwrap_or_default(), features, &mut found),
            Course::Remove => self.uninstall(object, &mut found),
            Course::LetGo => self.cluster.hold(object, &self.finalizer, false).map(drop),
            Course::LeaveAlone => {
                // Of a state that cannot be acted on nothing is wrong with the objects.
                if management != ManagementState::Unmanaged && found.statics.is_none() {
                    found.statics = Some(Vec::new());
                }
                Ok(())
            }
        };
        if let Place::Installed(pods) = &found.driver {
            self.left = generation(pods).map(|at| (uid(pods), at));
        }
        if let Err(failure) = &outcome {
            if failure.ends_turn() {
                return outcome;
            }
            if found.is_fine() {
                found.node.push(failure.to_string());
            }
        }
        self.report(is_going, &status, &rival, management.problem(), &found)?;
        outcome
    }

    /// True while another operator writes against this one.
    pub(super) fn quarrels(&self) -> bool {
        self.quarrel.is_on()
    }

    /// How long a report has to wait that the last turn has not written.
    pub(super) fn report_due(&self) -> Option<Duration> {
        self.report_due
    }

    /// What the API server serves, as far as it has said.
    pub(super) fn known_features(&self) -> Option<Features> {
        self.features.map(|(features, _)| features)
    }

    /// Looks once in a while what the API server serves: what was added later is found without a restart.
    fn features(&mut self) -> Result<Features, Failure> {
        if let Some((features, at)) = self.features
            && at.elapsed() < FEATURES_EVERY
        {
            return Ok(features);
        }
        let look = || {
            let has_security = self.cluster.serves(&SECURITY_CONSTRAINTS)?;
            Ok(Features { has_security, has_config: self.cluster.serves(&PROXIES)? })
        };
        match (look(), self.features) {
            (Ok(features), _) => {
                self.features = Some((features, Instant::now()));
                Ok(features)
            }
            // A group that is served by another server is away when that is.
            (Err(failure), Some((features, _))) => {
                log::debug!(error:% = failure; "what the API server serves is not known anew");
                Ok(features)
            }
            (Err(failure), None) => Err(failure),
        }
    }

    fn adjust_log<E>(&mut self, spec: &Result<Spec, E>) {
        let Ok(spec) = spec else { return };
        let verbosity = spec.operator_log_level.verbosity();
        if self.verbosity.replace(verbosity) != Some(verbosity) {
            logging::set_verbosity(verbosity);
            log::info!(v = verbosity; "the log follows operatorLogLevel");
        }
    }

    /// Writes down what the cluster's own settings are, on OpenShift.
    fn observe(&self, object: Value, found: &mut Found) -> Result<Value, Failure> {
        let cluster = |resource| self.cluster.find(&ObjectRef::cluster(resource, "cluster"));
        let settings = cluster(&PROXIES).and_then(|proxy| Ok((proxy, cluster(&API_SERVERS)?)));
        let (proxy, api_server) = match settings {
            Ok(settings) => settings,
            Err(failure) if failure.ends_turn() => return Err(failure),
            Err(failure) => {
                found.observation = Some(failure.to_string());
                return Ok(object);
            }
        };
        if let Ok(profile) = TlsProfile::read(api_server.as_ref()) {
            self.cluster.terms.follow(profile);
        }
        let wanted = observed_config(proxy.as_ref(), api_server.as_ref());
        let written = object.pointer("/spec/observedConfig").unwrap_or(&Value::Null);
        let Some(patch) = merge_patch(written, &wanted) else { return Ok(object) };
        match self.cluster.change_request(&object, json!({"spec": {"observedConfig": patch}})) {
            Ok(stored) => Ok(stored),
            // Somebody else's change wakes the loop again.
            Err(refusal) if refusal.is_overtaken() => Ok(object),
            Err(refusal) => {
                let failure = Failure::from(refusal);
                if failure.ends_turn() {
                    return Err(failure);
                }
                found.observation = Some(failure.to_string());
                Ok(object)
            }
        }
    }

    fn install(
        &self,
        object: Value,
        spec: &Spec,
        features: Features,
        found: &mut Found,
    ) -> Result<(), Failure> {
        let pods = self.cluster.find(&Piece::DaemonSet.at(&self.namespace))?;
        // Who has installed the driver already is told by its own objects soonest.
        if let Some(other) = self.other_installation(pods.is_some())? {
            found.statics = Some(vec![other.clone()]);
            found.node = vec![other];
            return Ok(());
        }
        let object = self.cluster.hold(object, &self.finalizer, true)?;
        let recorded = match &self.left {
            Some((left, at)) if pods.as_ref().is_some_and(|pods| uid(pods) == *left) => Some(*at),
            _ => Status::read(&object).recorded_generation(&self.namespace),
        };
        let kept = kept_tokens(&object);
        let (mut trusted_ca, mut wide_role) = (None, None);
        let (mut statics, mut first_failure) = (Vec::new(), None);
        for piece in Piece::ALL {
            let desired = |live: Option<&Value>| -> Option<Desired> {
                let tokens = match live {
                    Some(live) if piece == Piece::CsiDriver => live_tokens(live),
                    _ => kept.clone().unwrap_or_default(),
                };
                let inputs = Inputs {
                    spec,
                    operand: &self.operand,
                    namespace: &self.namespace,
                    features,
                    live_tokens: &tokens,
                    trusted_ca: trusted_ca.as_ref(),
                };
                render_one(piece, inputs)
            };
            let Some(first) = desired(None) else { continue };
            let settled = match piece {
                Piece::DriverRole => self.settle_role(&first.object),
                _ => self.cluster.settle(piece, &self.namespace, recorded, |live| {
                    desired(live).unwrap_or_else(|| first.clone())
                }),
            };
            match settled {
                Ok(stored) if piece == Piece::DriverRole && former_rights::are_kept(&stored) => {
                    wide_role = Some(first.object);
                }
                Ok(stored) if piece == Piece::DaemonSet => found.driver = Place::Installed(stored),
                Ok(stored) if piece == Piece::TrustedCa => trusted_ca = Some(stored),
                Ok(_) if piece == Piece::CsiDriver && kept.is_some() => self.cluster.forget_tokens()?,
                Ok(_) => {}
                Err(failure) if failure.ends_turn() => return Err(failure),
                Err(failure) => {
                    if piece == Piece::CsiDriver {
                        found.lacks_csi_driver =
                            self.cluster.look(&piece.at("")).is_ok_and(|live| live.is_none());
                    }
                    let failure = about(piece, failure);
                    let lines = if piece == Piece::DaemonSet { &mut found.node } else { &mut statics };
                    lines.push(failure.to_string());
                    first_failure.get_or_insert(failure);
                }
            }
        }
        if let (Some(role), Place::Installed(pods)) = (wide_role, &found.driver)
            && rollout(pods) == Rollout::Complete
            && let Err(failure) = self.narrow_role(&role)
        {
            let failure = about(Piece::DriverRole, failure);
            statics.push(failure.to_string());
            first_failure.get_or_insert(failure);
        }
        found.statics = Some(statics);
        first_failure.map_or(Ok(()), Err)
    }

    /// The driver's role, with what a former operator's pods may still need.
    fn settle_role(&self, role: &Value) -> Result<Value, Failure> {
        let settled = self.settle_role_with(role, true);
        match settled {
            // Nobody may give what he has not, and the former operator had more.
            Err(failure) if failure.is_forbidden() => {
                log::warn!(error:% = failure; "a former operator's rights cannot be kept for the pods that it left");
                self.narrow_role(role)
            }
            settled => settled,
        }
    }

    fn narrow_role(&self, role: &Value) -> Result<Value, Failure> {
        self.settle_role_with(role, false)
    }

    fn settle_role_with(&self, role: &Value, keeps_former: bool) -> Result<Value, Failure> {
        self.cluster.settle(Piece::DriverRole, &self.namespace, None, |live| {
            let mut object = role.clone();
            former_rights::keep(&mut object, live, keeps_former);
            Desired { piece: Piece::DriverRole, object }
        })
    }

    /// Takes down what was installed, the pods first, and then lets the object go.
    fn uninstall(&self, object: Value, found: &mut Found) -> Result<(), Failure> {
        let is_shared = self.other_installation(false)?.is_some();
        let (mut statics, mut first_failure) = (Vec::new(), None);
        for piece in Piece::ALL.into_iter().rev() {
            // What another installation has under the same name is its own.
            if is_shared && piece.is_shared_by_name() {
                continue;
            }
            match self.cluster.remove(piece, &self.namespace) {
                Ok(()) => {}
                Err(failure) if failure.ends_turn() => return Err(failure),
                Err(failure) => {
                    let failure = about(piece, failure);
                    let lines = if piece == Piece::DaemonSet { &mut found.node } else { &mut statics };
                    lines.push(failure.to_string());
                    first_failure.get_or_insert(failure);
                }
            }
        }
        found.statics = Some(statics);
        if let Some(failure) = first_failure {
            return Err(failure);
        }
        found.driver = Place::Removed;
        self.cluster.hold(object, &self.finalizer, false).map(drop)
    }

    /// Another installation, as far as it can be seen. Nothing tells of its pods, so they are asked for, though not in
    /// each turn where `may_be_old`.
    fn other_installation(&self, may_be_old: bool) -> Result<Option<String>, Failure> {
        let alone_at = || self.alone_at.lock();
        let is_known = may_be_old && alone_at().is_some_and(|at| at.elapsed() < ALONE_FOR);
        let pods = if is_known { None } else { self.other_pods()? };
        if !is_known {
            *alone_at() = pods.is_none().then(Instant::now);
        }
        let binding = self.cluster.find(&Piece::DriverBinding.at(&self.namespace))?;
        Ok(foreign::find(pods.as_ref(), binding.as_ref(), &self.namespace))
    }

    /// The DaemonSet of another installation. Who may not look into the other namespace does not know, and that is no
    /// reason to leave the driver uninstalled.
    fn other_pods(&self) -> Result<Option<Value>, Failure> {
        let pods = ObjectRef::namespaced(&DAEMON_SETS, FOREIGN_NAMESPACE, FOREIGN_NODE);
        match self.cluster.client.find_object(&pods, budget()) {
            Err(error) if error.is_forbidden() => {
                if !self.is_blind.swap(true, Ordering::SeqCst) {
                    log::warn!(error:% = error; "whether the driver is installed by other means is not known");
                }
                Ok(None)
            }
            found => Ok(found?),
        }
    }
}

/// The tokenRequests of a CSIDriver that was deleted to be made anew.
fn kept_tokens(object: &Value) -> Option<Vec<Value>> {
    let text = object.pointer("/metadata/annotations")?.get(KEPT_TOKENS)?.as_str()?;
    match serde_json::from_str(text) {
        Ok(tokens) => Some(tokens),
        Err(_) => {
            log::warn!(annotation = KEPT_TOKENS; "the list in this annotation cannot be read and is dropped");
            Some(Vec::new())
        }
    }
}

fn about(piece: Piece, failure: Failure) -> Failure {
    failure.about(&format!("{} {}", piece.kind(), piece.name()))
}

fn uid(object: &Value) -> Value {
    object.pointer("/metadata/uid").cloned().unwrap_or_default()
}

/// A little less than from one turn without news to the next.
const ALONE_FOR: Duration = Duration::from_secs(45);
/// APIs come and go with upgrades of a cluster.
const FEATURES_EVERY: Duration = Duration::from_secs(600);
