//! A line above a chart that explains it, so that nothing in the chart is covered.

use plotters::style::text_anchor::HPos;

use super::canvas::{Canvas, Drawn, LEFT, text};

pub(super) const HEIGHT: i32 = 32;
const Y: i32 = HEIGHT / 2;
const FONT: i32 = 14;
/// The width of a sample of what is explained.
const SAMPLE: i32 = 20;

/// Grows from left to right.
pub(super) struct Legend<'a, 'b> {
    canvas: &'a Canvas<'b>,
    x: i32,
}

impl<'a, 'b> Legend<'a, 'b> {
    pub(super) fn new(canvas: &'a Canvas<'b>) -> Self {
        Self { canvas, x: LEFT }
    }

    /// Explains what `sample` draws between two places and at a height.
    pub(super) fn explain(
        &mut self,
        words: &str,
        sample: impl FnOnce(&Canvas<'_>, i32, i32, i32) -> Drawn,
    ) -> Drawn {
        sample(self.canvas, self.x, self.x + SAMPLE, Y)?;
        text(
            self.canvas,
            words,
            (self.x + SAMPLE + 6, Y),
            FONT,
            HPos::Left,
        )?;
        // There is no font to ask, so this is a guess, and a generous one.
        self.x += SAMPLE + words.chars().count() as i32 * FONT * 11 / 20 + 30;
        Ok(())
    }
}
