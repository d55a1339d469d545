//! Positions in the text of a limits file, and mistakes there.

use std::fmt;
use std::ops::Range;

/// A line and a column, counted from 1. Columns are characters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Position {
    line: usize,
    column: usize,
}

impl Position {
    /// The position of the byte `at`.
    pub(super) fn of(text: &str, at: usize) -> Self {
        let before = text.get(..at).unwrap_or(text);
        let line = before.rsplit('\n').next().unwrap_or_default();
        Self {
            line: before.matches('\n').count() + 1,
            column: line.chars().count() + 1,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {}, column {}", self.line, self.column)
    }
}

/// A mistake in the text.
pub(super) struct Mistake {
    /// The byte at which it begins.
    pub(super) at: usize,
    pub(super) message: String,
}

pub(super) fn mistake(at: Range<usize>, message: impl Into<String>) -> Mistake {
    Mistake {
        at: at.start,
        message: message.into(),
    }
}
