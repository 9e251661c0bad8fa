//! Makes one object what it should be: looks, decides by [`plan`](super::plan), writes, and looks again when somebody
//! else was faster.

use serde_json::{Value, json};

use super::cluster::{Cluster, Refusal, request};
use super::failure::Failure;
use super::identity::KEPT_TOKENS;
use super::piece::Piece;
use super::plan::{Action, is_going, live_tokens, plan, plan_after_refusal};
use super::render::Desired;
use kube::object::{ObjectRef, Preconditions};

impl Cluster {
    /// Makes the object what `desired` says, which is asked anew each time that the object is looked at, and returns it
    /// as stored. `recorded` is the generation that the operator left it at.
    pub(super) fn settle(
        &self,
        piece: Piece,
        namespace: &str,
        recorded: Option<i64>,
        desired: impl Fn(Option<&Value>) -> Desired,
    ) -> Result<Value, Failure> {
        let at = piece.at(namespace);
        for attempt in 0..MOST_TRIES {
            let live = if attempt == 0 { self.find(&at)? } else { self.look(&at)? };
            if live.as_ref().is_some_and(is_going) {
                return Err(Failure::new(
                    "it is still being deleted; what holds it are the finalizers in its metadata",
                ));
            }
            let desired = desired(live.as_ref());
            let mut carried_out =
                self.carry_out(&at, piece, plan(&desired, live.as_ref(), recorded), live.as_ref());
            if let (Err(refusal), Some(live)) = (&carried_out, &live)
                && refusal.is_about_immutable_field()
                && let Some(action) = plan_after_refusal(&desired, live)
            {
                carried_out = self.carry_out(&at, piece, action, Some(live));
            }
            match (carried_out, live) {
                (Ok(Some(stored)), _) | (Ok(None), Some(stored)) => return Ok(stored),
                (Err(refusal), _) if refusal.is_overtaken() => {}
                (Err(refusal), _) => return Err(refusal.into()),
                (Ok(None), None) => {}
            }
        }
        Err(Failure::new("somebody else changes it all the time; find out who, in its managedFields"))
    }

    /// The object as stored; none where nothing was done.
    fn carry_out(
        &self,
        at: &ObjectRef,
        piece: Piece,
        action: Action,
        live: Option<&Value>,
    ) -> Result<Option<Value>, Refusal> {
        match action {
            Action::Nothing => Ok(None),
            Action::Create(object) => self.create(piece.kind(), at, &object).map(Some),
            Action::Update(object) => self.replace(piece.kind(), at, &object).map(Some),
            Action::Recreate { delete, create } => {
                // Who is refused the new one is left with the old one rather than with none.
                self.check_creation(at, &create)?;
                if piece == Piece::CsiDriver {
                    self.keep_tokens(&live.map(live_tokens).unwrap_or_default())?;
                }
                self.delete(piece.kind(), at, &delete)?;
                self.create(piece.kind(), at, &create).map(Some)
            }
        }
    }

    /// Writes the list down where it survives this process, before the only object that has it is deleted.
    fn keep_tokens(&self, tokens: &[Value]) -> Result<(), Refusal> {
        if tokens.is_empty() {
            return Ok(());
        }
        let text = json!(tokens).to_string();
        self.merge_request(&json!({"metadata": {"annotations": {KEPT_TOKENS: text}}})).map(drop)
    }

    /// The list that was written down belongs to a CSIDriver again.
    pub(super) fn forget_tokens(&self) -> Result<(), Failure> {
        let patch = json!({"metadata": {"annotations": {KEPT_TOKENS: null}}});
        self.merge_request(&patch).map(drop).map_err(Failure::from)
    }

    /// Deletes the object if it is there and nobody has deleted it yet.
    pub(super) fn remove(&self, piece: Piece, namespace: &str) -> Result<(), Failure> {
        let at = piece.at(namespace);
        let Some(live) = self.find(&at)?.filter(|live| !is_going(live)) else { return Ok(()) };
        // This very object, in whatever version it is by then.
        let it = Preconditions { resource_version: String::new(), ..Preconditions::of(&live) };
        match self.delete(piece.kind(), &at, &it) {
            Ok(_) => Ok(()),
            Err(refusal) if refusal.is_not_found() => Ok(()),
            Err(refusal) => Err(refusal.into()),
        }
    }

    /// Adds or takes away a finalizer of the object that asks for the driver, and returns that as stored.
    pub(super) fn hold(&self, object: Value, finalizer: &str, hold: bool) -> Result<Value, Failure> {
        let mut object = object;
        for _ in 0..MOST_TRIES {
            let mut all = finalizers(&object);
            if all.iter().any(|one| one == finalizer) == hold {
                return Ok(object);
            }
            all.retain(|one| one != finalizer);
            all.extend(hold.then(|| finalizer.to_owned()));
            match self.change_request(&object, json!({"metadata": {"finalizers": all}})) {
                Ok(stored) => return Ok(stored),
                Err(refusal) if refusal.is_not_found() && !hold => return Ok(object),
                Err(refusal) if refusal.is_overtaken() => {}
                Err(refusal) => return Err(refusal.into()),
            }
            match self.look(&request())? {
                Some(newer) => object = newer,
                None if hold => return Err(Failure::new("it was deleted meanwhile")),
                None => return Ok(object),
            }
        }
        Err(Failure::new("somebody else changes it all the time; find out who, in its managedFields"))
    }
}

fn finalizers(object: &Value) -> Vec<String> {
    let all = object.pointer("/metadata/finalizers").and_then(Value::as_array).into_iter().flatten();
    all.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// How often an object is looked at anew in one turn; the next turn comes soon.
const MOST_TRIES: usize = 4;
