//! What a limit is and what it answers.

pub(crate) mod algo;
pub(crate) mod args;
pub(crate) mod decision;
pub(crate) mod quota;
