//! The legend of a chart, on a line above it.

use plotters::style::text_anchor::HPos;

use super::canvas::{Canvas, DrawResult, LEFT, text};

pub(super) const HEIGHT: i32 = 32;
const Y: i32 = HEIGHT / 2;
const FONT: i32 = 14;
/// The width of the sample beside each text.
const SAMPLE: i32 = 20;

/// A legend, to which entries are added from left to right.
pub(super) struct Legend<'a, 'b> {
    canvas: &'a Canvas<'b>,
    x: i32,
}

impl<'a, 'b> Legend<'a, 'b> {
    pub(super) fn new(canvas: &'a Canvas<'b>) -> Self {
        Self { canvas, x: LEFT }
    }

    /// Adds an entry. `sample` gets the left and right ends of the sample and its height.
    pub(super) fn explain(
        &mut self,
        words: &str,
        sample: impl FnOnce(&Canvas<'_>, i32, i32, i32) -> DrawResult,
    ) -> DrawResult {
        sample(self.canvas, self.x, self.x + SAMPLE, Y)?;
        text(
            self.canvas,
            words,
            (self.x + SAMPLE + 6, Y),
            FONT,
            HPos::Left,
        )?;
        // The font is unknown, so this is a generous estimate of the text's width.
        self.x += SAMPLE + words.chars().count() as i32 * FONT * 11 / 20 + 30;
        Ok(())
    }
}
