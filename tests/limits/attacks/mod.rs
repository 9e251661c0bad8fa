//! The attacks, each a function that ends with what the table says of it.

mod answers;
mod content;
mod ports;
mod tenants;

use crate::table::Report;

/// All of them, by their names.
pub fn all() -> Vec<(&'static str, fn() -> Report)> {
    [&answers::ALL[..], &content::ALL, &ports::ALL, &tenants::ALL].concat()
}
