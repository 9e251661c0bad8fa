//! The doctor, run beside a real driver: a healthy node has nothing wrong, and each planted fault is found by the check
//! that is meant for it, with the way to mend it.

mod api_server;
mod clinic;
mod command_line;
mod node;
mod pods;
mod providers;
