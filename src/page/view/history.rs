//! The page of one meter: its latest values, and its history as plots.

use jiff::tz::TimeZone;
use maud::{Markup, PreEscaped, html};
use omnigate_actors::store::history::{Point, Points, Span};
use wmbus::profile::Channel;

use super::{frame, grouped, meters, time};
use crate::overview::{Meter, Overview};
use crate::page::history::{per_day, per_hour, zoned};
use crate::page::plot::{NARROW, WIDE, Window, bars, line};

/// A meter's points.
#[derive(Debug, Default)]
pub(in crate::page) struct History {
    /// Of five minutes, for the last day.
    pub(in crate::page) fine: Points,
    /// Of an hour, for the last month.
    pub(in crate::page) hours: Points,
}

/// The page of a meter with these channels.
pub(in crate::page) fn document(
    overview: &Overview,
    meter: &Meter,
    channels: &[Channel],
    history: &History,
    zone: &TimeZone,
) -> Markup {
    let now = overview.time.as_second();
    let content = html! {
        section aria-labelledby="meters-title" {
            p.back { a href="/" { "← all meters" } }
            h2 id="meters-title" { (meter.name) }
            (meters::alone(meter))
        }
        div id="plots" {
            (facts(meter))
            @if channels.is_empty() {
                p.none { "This meter was not heard since the gateway started; its history is shown when it is." }
            }
            @for channel in channels {
                (plots(channel, history, now, zone))
            }
        }
    };
    frame(overview, &meter.name, &content)
}

/// What the list of all meters has no room for.
fn facts(meter: &Meter) -> Markup {
    html! {
        dl.facts {
            div { dt { "readings" } dd { (grouped(&meter.readings.to_string())) } }
            div { dt { "refused telegrams" } dd { (grouped(&meter.refused.to_string())) } }
            @if let Some(at) = meter.read_at { div { dt { "values of" } dd { (time(at)) } } }
        }
    }
}

/// What is drawn of a channel: consumption of a register that only rises, the course of everything else. A channel that has always been 0 is
/// left out.
fn plots(channel: &Channel, history: &History, now: i64, zone: &TimeZone) -> Markup {
    let hours = points(&history.hours, channel);
    if hours.iter().all(|point| point.high == 0.0) {
        return html! {};
    }
    let window = |hours: i64, marks: i8| Window {
        size: WIDE,
        seconds: now - hours * 3600..now,
        marks,
        zone: zone.clone(),
    };
    let unit = channel.unit.symbol();
    html! {
        section {
            h2 { (channel.name) }
            @if channel.data_type.starts_with("accumulated") {
                @let window = window(48, 6);
                @let recent: Vec<_> = per_hour(hours).into_iter().filter(|hour| hour.from >= window.seconds.start).collect();
                @let days = per_day(hours, zone);
                (figure(&format!("{unit} per hour, the last two days"), recent.iter().map(|hour| hour.amount).sum(), unit, &window, |window| bars(&recent, window)))
                (figure(&format!("{unit} per day, the last 31 days"), days.iter().map(|day| day.amount).sum(), unit, &month(now, zone), |window| bars(&days, window)))
            } @else {
                @let fine = points(&history.fine, channel);
                @let highest = fine.iter().map(|point| point.high).fold(0.0, f64::max);
                (figure_with(&format!("{unit}, the last day"), "highest", highest, unit, &window(24, 3), |window| line(fine, Span::Fine.seconds(), window)))
            }
        }
    }
}

/// The days that are drawn, whole.
fn month(now: i64, zone: &TimeZone) -> Window {
    let midnight = |second: i64| {
        zoned(second, zone)
            .and_then(|at| at.start_of_day().ok())
            .map_or(second, |at| at.timestamp().as_second())
    };
    Window {
        size: WIDE,
        seconds: midnight(now - 30 * 86_400)..midnight(now + 86_400),
        marks: 120,
        zone: zone.clone(),
    }
}

fn points<'a>(points: &'a Points, channel: &Channel) -> &'a [Point] {
    points.get(&channel.number).map_or(&[], Vec::as_slice)
}

fn figure(
    title: &str,
    total: f64,
    unit: &str,
    window: &Window,
    plot: impl Fn(&Window) -> Result<String, String>,
) -> Markup {
    figure_with(title, "together", total, unit, window, plot)
}

/// Drawn twice: scaled down, the one for a desk cannot be read on a phone. The style sheet shows one of them.
fn figure_with(
    title: &str,
    what: &str,
    value: f64,
    unit: &str,
    window: &Window,
    plot: impl Fn(&Window) -> Result<String, String>,
) -> Markup {
    let value = grouped(&format!("{value:.*}", if value < 100.0 { 2 } else { 0 }));
    let sizes = [("wide", WIDE), ("narrow", NARROW)];
    html! {
        figure role="img" aria-label=(format!("{title}: {what} {value} {unit}")) {
            figcaption { (title) span { (what) " " strong { (value) } " " (unit) } }
            @for (class, size) in sizes {
                div.(class) {
                    @match plot(&Window { size, ..window.clone() }) {
                        // Drawn by us, from numbers.
                        Ok(svg) => (PreEscaped(svg)),
                        Err(error) => p.none { "cannot be drawn: " (error) },
                    }
                }
            }
        }
    }
}
