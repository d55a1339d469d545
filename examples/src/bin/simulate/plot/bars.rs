//! Bars that count the calls of a moment, where there are too many to show each.

use std::time::Duration;

use plotters::element::Rectangle;
use plotters::style::Color;

use super::calls::Calls;
use super::canvas::{Canvas, Drawn, LEFT, RIGHT, WIDTH};
use super::fate::Fate;
use super::legend::Legend;

pub(super) const HEIGHT: i32 = 64;
const BAR: i32 = 4;
const COLUMNS: usize = ((WIDTH - LEFT - RIGHT) / BAR) as usize;

pub(super) struct Bars {
    /// How many calls of each fate arrive in each column of each row.
    rows: Vec<Vec<[usize; Fate::ALL.len()]>>,
    highest: usize,
}

impl Bars {
    pub(super) fn new(calls: &Calls) -> Self {
        let mut rows = vec![vec![[0; Fate::ALL.len()]; COLUMNS]; calls.rows.len()];
        for call in &calls.all {
            let column = (calls.axis.pixel(call.at) - LEFT) / BAR;
            rows[call.row][(column as usize).min(COLUMNS - 1)][call.fate as usize] += 1;
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

    pub(super) fn draw(&self, chart: &Canvas<'_>, tops: &[i32]) -> Drawn {
        // A little air above the highest.
        let height = |count: usize| (count * (HEIGHT as usize - 6)).div_ceil(self.highest) as i32;
        for (columns, &top) in self.rows.iter().zip(tops) {
            for (column, counts) in columns.iter().enumerate() {
                let x = LEFT + column as i32 * BAR;
                let mut below = 0;
                for fate in Fate::ALL {
                    let count = counts[fate as usize];
                    if count > 0 {
                        let bottom = top + HEIGHT - height(below);
                        below += count;
                        // Even a count that rounds to nothing is seen.
                        let upper = (top + HEIGHT - height(below)).min(bottom - 1);
                        let corners = [(x, upper), (x + BAR, bottom)];
                        chart.draw(&Rectangle::new(corners, fate.color().filled()))?;
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn explain(&self, legend: &mut Legend<'_, '_>, calls: &Calls) -> Drawn {
        for fate in Fate::ALL {
            let count = calls.count(fate);
            if count > 0 {
                legend.explain(&format!("{}: {count}", fate.words()), |canvas, _, to, y| {
                    let corners = [(to - 12, y - 6), (to, y + 6)];
                    Ok(canvas.draw(&Rectangle::new(corners, fate.color().filled()))?)
                })?;
            }
        }
        Ok(())
    }

    /// What the heights mean.
    pub(super) fn scale(&self, calls: &Calls) -> String {
        let span = Duration::from_secs_f64(calls.axis.seconds_per_pixel() * f64::from(BAR));
        format!("the highest bar is {} calls in {span:.1?}", self.highest)
    }
}
