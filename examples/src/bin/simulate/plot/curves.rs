//! The lower chart: the numbers of calls that have arrived, run and been rejected, over time.

use plotters::chart::ChartBuilder;
use plotters::series::LineSeries;
use plotters::style::Color;
use plotters::style::text_anchor::HPos;

use super::call_result::CallResult;
use super::calls::{Axis, Call, Calls};
use super::canvas::{Canvas, DrawResult, FAINT, GRAY, LEFT, RIGHT, line, text_style};
use super::legend::{self, Legend};

pub(super) const HEIGHT: i32 = 350;
/// The height of the labels and the name of the time axis.
const X_LABEL_HEIGHT: i32 = 50;
const Y_LABEL_WIDTH: i32 = 75;

pub(super) fn draw(canvas: &Canvas<'_>, calls: &Calls) -> DrawResult {
    let (legend_area, chart) = canvas.split_vertically(legend::HEIGHT);
    let mut legend = Legend::new(&legend_area);
    let most = calls.all.len() as u64;
    let mut chart = ChartBuilder::on(&chart)
        .margin_left(LEFT - Y_LABEL_WIDTH)
        .margin_right(RIGHT)
        .margin_bottom(8)
        .x_label_area_size(X_LABEL_HEIGHT)
        .y_label_area_size(Y_LABEL_WIDTH)
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
        // Drawn from wide to narrow, so that all are visible where they overlap.
        (
            "arrived",
            GRAY.mix(0.5).stroke_width(7),
            times(calls, |call| Some(call.at)),
        ),
        (
            "admitted, when it runs",
            CallResult::Admitted.color().stroke_width(4),
            times(calls, |call| call.result.is_admitted().then_some(call.end)),
        ),
        (
            "refused",
            CallResult::Denied.color().stroke_width(2),
            times(calls, |call| {
                (!call.result.is_admitted()).then_some(call.at)
            }),
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

/// Returns the points of a curve that rises by one at each time. Of the points in one column of
/// pixels, only the first and the last are kept.
fn steps(times: &[f64], axis: &Axis) -> Vec<(f64, u64)> {
    let mut points = vec![(axis.from, 0)];
    let mut count = 0;
    for column in times.chunk_by(|&one, &next| axis.pixel(one) == axis.pixel(next)) {
        points.push((column[0], count));
        count += column.len() as u64;
        points.push((column[column.len() - 1], count));
    }
    points.push((axis.to, count));
    points
}
