//! The lower chart: how many calls have arrived, run and been refused so far.

use plotters::chart::ChartBuilder;
use plotters::series::LineSeries;
use plotters::style::Color;
use plotters::style::text_anchor::HPos;

use super::calls::{Axis, Call, Calls};
use super::canvas::{Canvas, Drawn, FAINT, GRAY, LEFT, RIGHT, line, text_style};
use super::fate::Fate;
use super::legend::{self, Legend};

pub(super) const HEIGHT: i32 = 350;
/// Room for the numbers and the name of the axis.
const BELOW: i32 = 50;
const BESIDE: i32 = 75;

pub(super) fn draw(canvas: &Canvas<'_>, calls: &Calls) -> Drawn {
    let (head, chart) = canvas.split_vertically(legend::HEIGHT);
    let mut legend = Legend::new(&head);
    let most = calls.all.len() as u64;
    let mut chart = ChartBuilder::on(&chart)
        .margin_left(LEFT - BESIDE)
        .margin_right(RIGHT)
        .margin_bottom(8)
        .x_label_area_size(BELOW)
        .y_label_area_size(BESIDE)
        .build_cartesian_2d(calls.axis.from..calls.axis.to, 0..most + most / 20 + 1)?;
    chart
        .configure_mesh()
        .x_labels(calls.axis.labels())
        .y_labels(6)
        .bold_line_style(FAINT)
        .light_line_style(FAINT.mix(0.0))
        .axis_style(GRAY)
        .label_style(text_style(13, HPos::Left))
        .axis_desc_style(text_style(15, HPos::Left))
        .x_label_formatter(&|&seconds| calls.axis.label(seconds))
        .x_desc(calls.axis.name())
        .y_desc("calls so far")
        .draw()?;
    let curves = [
        // Each is seen beneath the next where they meet.
        (
            "arrived",
            GRAY.mix(0.5).stroke_width(7),
            times(calls, |call| Some(call.at)),
        ),
        (
            "admitted, when it runs",
            Fate::Admitted.color().stroke_width(4),
            times(calls, |call| call.fate.is_admitted().then_some(call.end)),
        ),
        (
            "refused",
            Fate::Denied.color().stroke_width(2),
            times(calls, |call| (!call.fate.is_admitted()).then_some(call.at)),
        ),
    ];
    for (name, style, times) in curves {
        chart.draw_series(LineSeries::new(steps(&times, &calls.axis), style))?;
        legend.explain(name, |canvas, from, to, y| {
            line(canvas, (from, y), (to, y), style)
        })?;
    }
    Ok(())
}

fn times(calls: &Calls, when: impl Fn(&Call) -> Option<f64>) -> Vec<f64> {
    let mut times: Vec<f64> = calls.all.iter().filter_map(when).collect();
    times.sort_by(f64::total_cmp);
    times
}

/// A curve that rises by one at each time, from edge to edge. Of the steps in one column of pixels
/// only the first and the last are kept.
fn steps(times: &[f64], axis: &Axis) -> Vec<(f64, u64)> {
    let mut points = vec![(axis.from, 0)];
    let mut risen = 0;
    for column in times.chunk_by(|&one, &next| axis.pixel(one) == axis.pixel(next)) {
        points.push((column[0], risen));
        risen += column.len() as u64;
        points.push((column[column.len() - 1], risen));
    }
    points.push((axis.to, risen));
    points
}
