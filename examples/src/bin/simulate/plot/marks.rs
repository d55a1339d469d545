//! One mark for each call. Calls that would overlap are in different lanes of their row.

use plotters::style::Color;

use super::call_result::CallResult;
use super::calls::Calls;
use super::canvas::{Canvas, DrawResult, GRAY, line};
use super::legend::Legend;

/// With more lanes than this in total, the picture would be too tall to read.
const MAX_LANES: usize = 72;
const LANE_HEIGHT: i32 = 15;
/// Half the width of the widest mark, plus a margin.
const HALF_MARK: i32 = 6;

pub(super) struct Marks {
    /// The lane of each call in its row.
    lanes: Vec<usize>,
    /// How many lanes each row has.
    rows: Vec<usize>,
}

impl Marks {
    /// Assigns lanes to calls. Returns `None` if there are too many calls for one mark each.
    pub(super) fn new(calls: &Calls) -> Option<Self> {
        // The end of the last mark in each lane of each row.
        let mut taken: Vec<Vec<i32>> = vec![Vec::new(); calls.rows.len()];
        let mut lanes = Vec::new();
        let mut open = 0;
        for call in &calls.all {
            let (from, to) = (calls.axis.pixel(call.at), calls.axis.pixel(call.end));
            let row = &mut taken[call.row];
            let lane = row
                .iter()
                .position(|&end| end < from - HALF_MARK)
                .unwrap_or(row.len());
            if lane == row.len() {
                row.push(0);
                open += 1;
            }
            if open > MAX_LANES {
                return None;
            }
            row[lane] = to + HALF_MARK;
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
            .map(|&lanes| LANE_HEIGHT * (lanes as i32 + 1))
            .collect()
    }

    pub(super) fn draw(&self, chart: &Canvas<'_>, tops: &[i32], calls: &Calls) -> DrawResult {
        for (call, &lane) in calls.all.iter().zip(&self.lanes) {
            let (from, to) = (calls.axis.pixel(call.at), calls.axis.pixel(call.end));
            let y = tops[call.row] + LANE_HEIGHT * (lane as i32 + 1);
            tick(chart, from, y)?;
            call.result.draw(chart, from, to, y)?;
        }
        Ok(())
    }

    pub(super) fn explain(&self, legend: &mut Legend<'_, '_>, calls: &Calls) -> DrawResult {
        legend.explain("arrival", |canvas, from, to, y| {
            tick(canvas, from.midpoint(to), y)
        })?;
        for result in CallResult::ALL {
            let count = calls.count(result);
            if count > 0 {
                legend.explain(
                    &format!("{}: {count}", result.label()),
                    |canvas, from, to, y| {
                        let from = if result == CallResult::Waited {
                            from
                        } else {
                            from.midpoint(to)
                        };
                        result.draw(
                            canvas,
                            from,
                            if result == CallResult::Waited {
                                to - 4
                            } else {
                                from
                            },
                            y,
                        )
                    },
                )?;
            }
        }
        Ok(())
    }
}

fn tick(canvas: &Canvas<'_>, x: i32, y: i32) -> DrawResult {
    line(canvas, (x, y - 7), (x, y + 7), GRAY.stroke_width(1))
}
