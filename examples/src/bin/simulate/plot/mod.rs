//! A picture of a replay: above a row of marks for each key, below how the calls add up.

mod bars;
mod calls;
mod canvas;
mod curves;
mod fate;
mod legend;
mod marks;
mod rows;

use plotters::prelude::{IntoDrawingArea, SVGBackend};
use plotters::style::WHITE;
use premier::{Algo, Limit};

use self::calls::Calls;
use self::canvas::{Canvas, Drawn, HEAD, LEFT, RIGHT, Side, WIDTH, text};
use self::rows::Rows;
use crate::arrivals::Arrival;
use crate::replay::Outcome;

/// The picture as SVG.
pub(crate) fn draw(limit: &Limit, arrivals: &[Arrival], outcomes: &[Outcome]) -> Drawn<String> {
    let calls = Calls::new(limit, arrivals, outcomes);
    let rows = Rows::new(&calls);
    let size = (WIDTH as u32, (HEAD + rows.height() + curves::HEIGHT) as u32);
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        root.fill(&WHITE)?;
        let (head, body) = root.split_vertically(HEAD);
        let (upper, lower) = body.split_vertically(rows.height());
        title(&head, limit, &calls)?;
        rows.draw(&upper)?;
        curves::draw(&lower, &calls)?;
        root.present()?;
    }
    Ok(svg)
}

fn title(head: &Canvas<'_>, limit: &Limit, calls: &Calls) -> Drawn {
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
    let summary = format!(
        "{count} call{} of {keys} key{}",
        plural(count),
        plural(keys)
    );
    text(head, &title, (LEFT, 28), 22, Side::Left)?;
    text(head, &summary, (WIDTH - RIGHT, 28), 16, Side::Right)
}
