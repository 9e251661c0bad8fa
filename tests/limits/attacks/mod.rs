//! The attacks, each a function that ends with what the table says of it.

mod answers;
mod content;
mod ports;
mod tenants;

use crate::table::Report;

/// What an attack is, and the attack.
pub type Attack = (&'static str, fn() -> Report);

/// All of them.
pub fn all() -> Vec<Attack> {
    [&answers::ALL[..], &content::ALL, &ports::ALL, &tenants::ALL].concat()
}
