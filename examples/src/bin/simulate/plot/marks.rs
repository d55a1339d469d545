//! One mark a call. Calls that would cover each other stand in lanes above each other.

use plotters::style::Color;

use super::calls::Calls;
use super::canvas::{Canvas, Drawn, GRAY, line};
use super::fate::Fate;
use super::legend::Legend;

/// More lanes than this in all, and the picture would be too tall to read.
const MOST_LANES: usize = 72;
const LANE: i32 = 15;
/// Half the width of the widest mark, and a little air.
const REACH: i32 = 6;

pub(super) struct Marks {
    /// The lane of each call in its row.
    lanes: Vec<usize>,
    /// How many lanes each row has.
    rows: Vec<usize>,
}

impl Marks {
    /// `None` when there are too many calls to show each.
    pub(super) fn new(calls: &Calls) -> Option<Self> {
        // Up to where each lane of each row is taken.
        let mut taken: Vec<Vec<i32>> = vec![Vec::new(); calls.rows.len()];
        let mut lanes = Vec::new();
        let mut open = 0;
        for call in &calls.all {
            let (from, to) = (calls.axis.pixel(call.at), calls.axis.pixel(call.end));
            let row = &mut taken[call.row];
            let lane = row
                .iter()
                .position(|&end| end < from - REACH)
                .unwrap_or(row.len());
            if lane == row.len() {
                row.push(0);
                open += 1;
            }
            if open > MOST_LANES {
                return None;
            }
            row[lane] = to + REACH;
            lanes.push(lane);
        }
        Some(Self {
            lanes,
            rows: taken.iter().map(Vec::len).collect(),
        })
    }

    pub(super) fn heights(&self) -> Vec<i32> {
        self.rows
            .iter()
            .map(|&lanes| LANE * (lanes as i32 + 1))
            .collect()
    }

    pub(super) fn draw(&self, chart: &Canvas<'_>, tops: &[i32], calls: &Calls) -> Drawn {
        for (call, &lane) in calls.all.iter().zip(&self.lanes) {
            let (from, to) = (calls.axis.pixel(call.at), calls.axis.pixel(call.end));
            let y = tops[call.row] + LANE * (lane as i32 + 1);
            tick(chart, from, y)?;
            call.fate.draw(chart, from, to, y)?;
        }
        Ok(())
    }

    pub(super) fn explain(&self, legend: &mut Legend<'_, '_>, calls: &Calls) -> Drawn {
        legend.explain("arrival", |canvas, from, to, y| {
            tick(canvas, from.midpoint(to), y)
        })?;
        for fate in Fate::ALL {
            let count = calls.count(fate);
            if count > 0 {
                legend.explain(
                    &format!("{}: {count}", fate.words()),
                    |canvas, from, to, y| {
                        let from = if fate == Fate::Waited {
                            from
                        } else {
                            from.midpoint(to)
                        };
                        fate.draw(
                            canvas,
                            from,
                            if fate == Fate::Waited { to - 4 } else { from },
                            y,
                        )
                    },
                )?;
            }
        }
        Ok(())
    }
}

fn tick(canvas: &Canvas<'_>, x: i32, y: i32) -> Drawn {
    line(canvas, (x, y - 7), (x, y + 7), GRAY.stroke_width(1))
}
