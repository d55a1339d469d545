//! What can become of a call, and how it looks: colours that colour-blind eyes tell apart, and a
//! shape for each.

use plotters::element::{Circle, Cross, Rectangle, TriangleMarker};
use plotters::style::{Color, RGBColor};

use super::canvas::{Canvas, Drawn};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fate {
    Admitted,
    Waited,
    Denied,
    Never,
}

impl Fate {
    pub(super) const ALL: [Self; 4] = [Self::Admitted, Self::Waited, Self::Denied, Self::Never];

    pub(super) const fn words(self) -> &'static str {
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

    /// The mark of one call that arrives at `from`; a call that waits runs at `to`.
    pub(super) fn draw(self, canvas: &Canvas<'_>, from: i32, to: i32, y: i32) -> Drawn {
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
