//! The upper chart: the result of each call, in a row for each key.

use plotters::chart::ChartBuilder;
use plotters::style::Color;
use plotters::style::text_anchor::HPos;

use super::bars::{self, Bars};
use super::calls::Calls;
use super::canvas::{Canvas, DrawResult, FAINT, GRAY, LEFT, RIGHT, WIDTH, line, text};
use super::legend::{self, Legend};
use super::marks::Marks;

pub(super) struct Rows<'a> {
    calls: &'a Calls,
    content: Content,
    heights: Vec<i32>,
}

enum Content {
    Marks(Marks),
    Bars(Bars),
}

impl<'a> Rows<'a> {
    pub(super) fn new(calls: &'a Calls) -> Self {
        let (content, heights) = match Marks::new(calls) {
            Some(marks) => {
                let heights = marks.heights();
                (Content::Marks(marks), heights)
            }
            None => (
                Content::Bars(Bars::new(calls)),
                vec![bars::HEIGHT; calls.rows.len()],
            ),
        };
        Self {
            calls,
            content,
            heights,
        }
    }

    /// Describes the scale of bars; `None` for marks.
    pub(super) fn scale(&self) -> Option<String> {
        match &self.content {
            Content::Marks(_) => None,
            Content::Bars(bars) => Some(bars.scale(self.calls)),
        }
    }

    pub(super) fn height(&self) -> i32 {
        // Plus one pixel for the line below the last row.
        legend::HEIGHT + self.heights.iter().sum::<i32>() + 1
    }

    pub(super) fn draw(&self, canvas: &Canvas<'_>) -> DrawResult {
        if self.calls.all.is_empty() {
            return Ok(());
        }
        let (head, chart) = canvas.split_vertically(legend::HEIGHT);
        grid(&chart, self.calls)?;
        let tops = self.frame(&chart)?;
        let mut legend = Legend::new(&head);
        match &self.content {
            Content::Marks(marks) => {
                marks.draw(&chart, &tops, self.calls)?;
                marks.explain(&mut legend, self.calls)
            }
            Content::Bars(bars) => {
                bars.draw(&chart, &tops)?;
                bars.explain(&mut legend, self.calls)
            }
        }
    }

    /// Draws the labels and the lines between the rows. Returns the top of each row.
    fn frame(&self, chart: &Canvas<'_>) -> DrawResult<Vec<i32>> {
        let separator = |y| line(chart, (LEFT, y), (WIDTH - RIGHT, y), GRAY.mix(0.6));
        let mut tops = Vec::new();
        let mut top = 0;
        separator(top)?;
        for (label, height) in self.calls.rows.iter().zip(&self.heights) {
            text(chart, label, (LEFT - 10, top + height / 2), 14, HPos::Right)?;
            tops.push(top);
            top += height;
            separator(top)?;
        }
        Ok(tops)
    }
}

/// Draws the vertical lines of the time axis, at the positions of those in the lower chart.
fn grid(chart: &Canvas<'_>, calls: &Calls) -> DrawResult {
    ChartBuilder::on(chart)
        .margin_left(LEFT)
        .margin_right(RIGHT)
        .build_cartesian_2d(calls.axis.from..calls.axis.to, 0..1)?
        .configure_mesh()
        .disable_y_mesh()
        .disable_axes()
        .x_labels(calls.axis.labels())
        .bold_line_style(FAINT)
        .light_line_style(FAINT.mix(0.0))
        .draw()?;
    Ok(())
}
