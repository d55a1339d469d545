//! The canvas, its dimensions in pixels, and functions to draw texts and lines.

use std::error::Error;

use plotters::coord::Shift;
use plotters::element::{PathElement, Text};
use plotters::prelude::{DrawingArea, IntoFont, SVGBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{RGBColor, ShapeStyle, TextStyle};

pub(super) type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub(super) type DrawResult<T = ()> = Result<T, Box<dyn Error>>;

pub(super) const WIDTH: i32 = 1200;
/// The left margin of both charts.
pub(super) const LEFT: i32 = 170;
/// The right margin of both charts.
pub(super) const RIGHT: i32 = 30;
pub(super) const TITLE_HEIGHT: i32 = 72;

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
) -> DrawResult {
    Ok(canvas.draw(&Text::new(words.to_owned(), place, text_style(size, side)))?)
}

pub(super) fn line(
    canvas: &Canvas<'_>,
    from: (i32, i32),
    to: (i32, i32),
    style: impl Into<ShapeStyle>,
) -> DrawResult {
    Ok(canvas.draw(&PathElement::new([from, to], style))?)
}
