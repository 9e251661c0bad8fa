//! Secrets that a class asks for: there before the pod starts, fresh after a rotation, kept while a pod needs them,
//! gone with their owners; and never in the way of a volume.

mod basics;
mod failures;
mod fairness;
mod outages;
mod owners;
mod permission;
mod quarrels;
mod repair;
mod restart;
mod rotation;
mod secrecy;
mod sharing;
mod static_pods;
mod succession;
