//! The picture of a replay: the upper chart shows each call in the row of its key, the lower chart the
//! number of calls over time.

mod bars;
mod call_result;
mod calls;
mod canvas;
mod curves;
mod legend;
mod marks;
mod rows;

use plotters::prelude::{IntoDrawingArea, SVGBackend};
use plotters::style::WHITE;
use plotters::style::text_anchor::HPos;
use premier::{Algo, Limit};

use self::calls::Calls;
use self::canvas::{Canvas, DrawResult, LEFT, TITLE_HEIGHT, WIDTH, text};
use self::rows::Rows;
use crate::arrivals::Arrival;
use crate::replay::Outcome;

/// Draws the picture as SVG.
pub(crate) fn draw(
    limit: &Limit,
    arrivals: &[Arrival],
    outcomes: &[Outcome],
) -> DrawResult<String> {
    let calls = Calls::new(limit, arrivals, outcomes);
    let rows = Rows::new(&calls);
    let size = (
        WIDTH as u32,
        (TITLE_HEIGHT + rows.height() + curves::HEIGHT) as u32,
    );
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        root.fill(&WHITE)?;
        let (head, body) = root.split_vertically(TITLE_HEIGHT);
        let (upper, lower) = body.split_vertically(rows.height());
        title(&head, limit, &calls, rows.scale())?;
        rows.draw(&upper)?;
        curves::draw(&lower, &calls)?;
        root.present()?;
    }
    Ok(svg)
}

fn title(head: &Canvas<'_>, limit: &Limit, calls: &Calls, scale: Option<String>) -> DrawResult {
    let mut title = format!(
        "{}: {} per {:?}",
        limit.algo(),
        limit.quota(),
        limit.period()
    );
    match limit.algo() {
        Algo::TokenBucket => title += &format!(", burst {}", limit.capacity()),
        Algo::LeakyBucket => title += &format!(", bucket size {}", limit.capacity() - 1),
        _ => {}
    }
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    let (count, keys) = (calls.all.len(), calls.keys);
    let mut summary = format!(
        "{count} call{} of {keys} key{}",
        plural(count),
        plural(keys)
    );
    if let Some(scale) = scale {
        summary += &format!("; {scale}");
    }
    text(head, &title, (LEFT, 24), 22, HPos::Left)?;
    text(head, &summary, (LEFT, 54), 15, HPos::Left)
}
