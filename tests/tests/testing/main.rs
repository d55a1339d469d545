//! `premier::testing`: scopes, and calls that a test makes slow or failing.

mod faults;
mod scopes;
