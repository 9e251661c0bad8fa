//! The operator as a process, against an API server on a real socket.

mod crash;
mod drift;
mod foreign;
mod install;
mod leadership;
mod load;
mod metrics;
mod openshift;
mod outage;
mod program;
mod quiet;
mod removal;
mod rival;
mod stage;
mod states;
mod tokens;
