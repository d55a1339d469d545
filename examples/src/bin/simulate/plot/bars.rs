//! Bars that count the calls per interval, used when there are too many calls for one mark each.

use std::time::Duration;

use plotters::element::Rectangle;
use plotters::style::Color;

use super::call_result::CallResult;
use super::calls::Calls;
use super::canvas::{Canvas, DrawResult, LEFT, RIGHT, WIDTH};
use super::legend::Legend;

pub(super) const HEIGHT: i32 = 64;
const BAR_WIDTH: i32 = 4;
const COLUMNS: usize = ((WIDTH - LEFT - RIGHT) / BAR_WIDTH) as usize;

pub(super) struct Bars {
    /// The number of calls of each result in each column of each row.
    rows: Vec<Vec<[usize; CallResult::ALL.len()]>>,
    highest: usize,
}

impl Bars {
    pub(super) fn new(calls: &Calls) -> Self {
        let mut rows = vec![vec![[0; CallResult::ALL.len()]; COLUMNS]; calls.rows.len()];
        for call in &calls.all {
            let column = (calls.axis.pixel(call.at) - LEFT) / BAR_WIDTH;
            rows[call.row][(column as usize).min(COLUMNS - 1)][call.result as usize] += 1;
        }
        let highest = rows
            .iter()
            .flatten()
            .map(|column| column.iter().sum())
            .max();
        Self {
            rows,
            highest: highest.unwrap_or(1),
        }
    }

    pub(super) fn draw(&self, chart: &Canvas<'_>, tops: &[i32]) -> DrawResult {
        // Leaves 6 pixels above the highest bar.
        let height = |count: usize| (count * (HEIGHT as usize - 6)).div_ceil(self.highest) as i32;
        for (columns, &top) in self.rows.iter().zip(tops) {
            for (column, counts) in columns.iter().enumerate() {
                let x = LEFT + column as i32 * BAR_WIDTH;
                let mut below = 0;
                for result in CallResult::ALL {
                    let count = counts[result as usize];
                    if count > 0 {
                        let bottom = top + HEIGHT - height(below);
                        below += count;
                        // Draws at least one pixel, so that small counts are visible.
                        let upper = (top + HEIGHT - height(below)).min(bottom - 1);
                        let corners = [(x, upper), (x + BAR_WIDTH, bottom)];
                        chart.draw(&Rectangle::new(corners, result.color().filled()))?;
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn explain(&self, legend: &mut Legend<'_, '_>, calls: &Calls) -> DrawResult {
        for result in CallResult::ALL {
            let count = calls.count(result);
            if count > 0 {
                legend.explain(
                    &format!("{}: {count}", result.label()),
                    |canvas, _, to, y| {
                        let corners = [(to - 12, y - 6), (to, y + 6)];
                        Ok(canvas.draw(&Rectangle::new(corners, result.color().filled()))?)
                    },
                )?;
            }
        }
        Ok(())
    }

    /// Describes the scale of the heights.
    pub(super) fn scale(&self, calls: &Calls) -> String {
        let span = Duration::from_secs_f64(calls.axis.seconds_per_pixel() * f64::from(BAR_WIDTH));
        format!("the highest bar is {} calls in {span:.1?}", self.highest)
    }
}
