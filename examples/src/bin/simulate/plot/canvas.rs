//! What everything is drawn on and with. Lengths are pixels.

use std::error::Error;

use plotters::coord::Shift;
use plotters::element::{PathElement, Text};
use plotters::prelude::{DrawingArea, IntoFont, SVGBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{RGBColor, ShapeStyle, TextStyle};

pub(super) type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub(super) type Drawn<T = ()> = Result<T, Box<dyn Error>>;

pub(super) const WIDTH: i32 = 1200;
/// Both charts begin this far from the left, and end this far from the right.
pub(super) const LEFT: i32 = 170;
pub(super) const RIGHT: i32 = 30;
pub(super) const HEAD: i32 = 72;

const INK: RGBColor = RGBColor(40, 40, 40);
pub(super) const GRAY: RGBColor = RGBColor(140, 140, 140);
pub(super) const FAINT: RGBColor = RGBColor(232, 232, 232);

pub(super) fn text_style<'a>(size: i32, side: HPos) -> TextStyle<'a> {
    // The backend divides the size by 1.24.
    TextStyle::from(("sans-serif", f64::from(size) * 1.24).into_font())
        .color(&INK)
        .pos(Pos::new(side, VPos::Center))
}

pub(super) fn text(
    canvas: &Canvas<'_>,
    words: &str,
    place: (i32, i32),
    size: i32,
    side: HPos,
) -> Drawn {
    Ok(canvas.draw(&Text::new(words.to_owned(), place, text_style(size, side)))?)
}

pub(super) fn line(
    canvas: &Canvas<'_>,
    from: (i32, i32),
    to: (i32, i32),
    style: impl Into<ShapeStyle>,
) -> Drawn {
    Ok(canvas.draw(&PathElement::new([from, to], style))?)
}
