//! Plots as SVG, drawn here and not in the browser.
//!
//! The colours in the SVG are names: the style sheet puts those of the light or the dark page in their places.

use std::ops::Range;

use jiff::tz::TimeZone;
use omnigate_actors::store::history::Point;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::prelude::*;

use super::history::{Consumption, zoned};

/// What time a plot shows, and how large.
#[derive(Debug, Clone)]
pub(super) struct Window {
    /// In pixels; the page scales it.
    pub(super) size: (u32, u32),
    /// In seconds since 1970.
    pub(super) seconds: Range<i64>,
    /// Hours between the marks; days if it is a multiple of 24.
    pub(super) marks: i8,
    /// Whose clocks.
    pub(super) zone: TimeZone,
}

/// A line of means, with what was lowest and highest around it. It breaks where nothing was heard.
///
/// # Errors
/// Those of the drawing library, as text.
pub(super) fn line(points: &[Point], span: i64, window: &Window) -> Result<String, String> {
    let highest = points.iter().map(|point| point.high).fold(0.0, f64::max);
    draw(highest, window, |chart| {
        let adjacent = |one: &Point, other: &Point| other.start - one.start <= 3 * span;
        for points in points.chunk_by(adjacent) {
            let middle = |point: &Point| point.start + span / 2;
            let upper = points.iter().map(|point| (middle(point), point.high));
            let lower = points.iter().rev().map(|point| (middle(point), point.low));
            let around = Polygon::new(upper.chain(lower).collect::<Vec<_>>(), SERIES.mix(0.2));
            chart.draw_series([around]).map_err(text)?;
            let means = points.iter().map(|point| (middle(point), point.mean));
            let line = LineSeries::new(means, SERIES.stroke_width(2));
            chart.draw_series(line).map_err(text)?;
        }
        Ok(())
    })
}

/// A bar for each span of time.
///
/// # Errors
/// Those of the drawing library, as text.
pub(super) fn bars(bars: &[Consumption], window: &Window) -> Result<String, String> {
    let highest = bars.iter().map(|bar| bar.amount).fold(0.0, f64::max);
    draw(highest, window, |chart| {
        let bars = bars.iter().map(|bar| {
            let gap = (bar.to - bar.from) / 10;
            Rectangle::new(
                [(bar.from + gap, 0.0), (bar.to - gap, bar.amount)],
                SERIES.filled(),
            )
        });
        chart.draw_series(bars).map_err(text)?;
        Ok(())
    })
}

type Chart<'a, 'b> =
    ChartContext<'a, SVGBackend<'b>, Cartesian2d<Window, plotters::coord::types::RangedCoordf64>>;

fn draw(
    highest: f64,
    window: &Window,
    series: impl FnOnce(&mut Chart<'_, '_>) -> Result<(), String>,
) -> Result<String, String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, window.size).into_drawing_area();
        let top = if highest > 0.0 { highest * 1.05 } else { 1.0 };
        let mut chart = ChartBuilder::on(&area)
            .margin(4)
            .margin_right(12)
            .x_label_area_size(24)
            .y_label_area_size(52)
            .build_cartesian_2d(window.clone(), 0.0..top)
            .map_err(text)?;
        let style = ("sans-serif", 13).into_font().color(&LABELS);
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(GRID)
            .label_style(style)
            .y_labels(4)
            .y_label_formatter(&|value| number(*value, top))
            .draw()
            .map_err(text)?;
        series(&mut chart)?;
        area.present().map_err(text)?;
    }
    Ok(svg)
}

/// With as many digits as tell the marks of an axis apart.
fn number(value: f64, top: f64) -> String {
    let digits = match top {
        ..0.3 => 3,
        ..3.0 => 2,
        ..30.0 => 1,
        _ => 0,
    };
    super::view::grouped(&format!("{value:.digits$}"))
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

impl Ranged for Window {
    type FormatOption = NoDefaultFormatting;
    type ValueType = i64;

    fn map(&self, value: &i64, (low, high): (i32, i32)) -> i32 {
        let length = (self.seconds.end - self.seconds.start).max(1);
        let along = (value - self.seconds.start) as f64 / length as f64;
        low + (along.clamp(0.0, 1.0) * f64::from(high - low)).round() as i32
    }

    /// Full hours, or midnights, of the window's time zone.
    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<i64> {
        let mut marks = Vec::new();
        let start =
            zoned(self.seconds.start, &self.zone).and_then(|start| start.start_of_day().ok());
        let Some(start) = start else {
            return marks;
        };
        for step in 0..1000 {
            let hours = i64::from(self.marks) * step;
            let mark = start
                .datetime()
                .checked_add(jiff::Span::new().hours(hours))
                .and_then(|mark| mark.to_zoned_datetime(self.zone.clone()));
            match mark.map(|mark| mark.timestamp().as_second()) {
                Ok(mark) if mark < self.seconds.start => {}
                Ok(mark) if mark <= self.seconds.end => marks.push(mark),
                _ => break,
            }
        }
        marks
    }

    fn range(&self) -> Range<i64> {
        self.seconds.clone()
    }
}

impl ValueFormatter<i64> for Window {
    fn format_ext(&self, value: &i64) -> String {
        let form = if self.marks % 24 == 0 {
            "%-d %b"
        } else {
            "%H:%M"
        };
        zoned(*value, &self.zone).map_or_else(String::new, |at| at.strftime(form).to_string())
    }
}

/// For a desk.
pub(super) const WIDE: (u32, u32) = (900, 220);

/// For a phone.
pub(super) const NARROW: (u32, u32) = (380, 220);

const SERIES: RGBColor = RGBColor(0x0B, 0x72, 0x85);
const LABELS: RGBColor = RGBColor(0x5A, 0x67, 0x77);
const GRID: RGBColor = RGBColor(0xDF, 0xE4, 0xEA);
