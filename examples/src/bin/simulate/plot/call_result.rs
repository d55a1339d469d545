//! The results of a call, each with a shape and a colour. The colours are distinguishable with colour
//! blindness (the palette of Okabe and Ito).

use plotters::element::{Circle, Cross, Rectangle, TriangleMarker};
use plotters::style::{Color, RGBColor};

use super::canvas::{Canvas, DrawResult};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum CallResult {
    Admitted,
    Waited,
    Denied,
    Never,
}

impl CallResult {
    pub(super) const ALL: [Self; 4] = [Self::Admitted, Self::Waited, Self::Denied, Self::Never];

    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Admitted => "admitted at once",
            Self::Waited => "admitted after waiting",
            Self::Denied => "denied",
            Self::Never => "never",
        }
    }

    pub(super) const fn color(self) -> RGBColor {
        match self {
            Self::Admitted => RGBColor(0, 158, 115),
            Self::Waited => RGBColor(0, 114, 178),
            Self::Denied => RGBColor(213, 94, 0),
            Self::Never => RGBColor(60, 60, 60),
        }
    }

    pub(super) const fn is_admitted(self) -> bool {
        matches!(self, Self::Admitted | Self::Waited)
    }

    /// Draws the mark of a call that arrives at `from` and, if it waits, runs at `to`.
    pub(super) fn draw(self, canvas: &Canvas<'_>, from: i32, to: i32, y: i32) -> DrawResult {
        let color = self.color();
        match self {
            Self::Admitted => canvas.draw(&Circle::new((to, y), 4, color.filled()))?,
            Self::Waited => {
                let bar = [(from, y - 2), (to, y + 2)];
                canvas.draw(&Rectangle::new(bar, color.mix(0.35).filled()))?;
                canvas.draw(&Circle::new((to, y), 4, color.filled()))?;
            }
            Self::Denied => canvas.draw(&Cross::new((to, y), 4, color.stroke_width(2)))?,
            Self::Never => canvas.draw(&TriangleMarker::new((to, y), 5, color.filled()))?,
        }
        Ok(())
    }
}
