//! The meters: those that are monitored, and the others on the air.

use jiff::Timestamp;
use maud::{Markup, html};

use super::{Part, dot, grouped, hash, time};
use crate::overview::{Condition, Meter, Unknown, Value};

/// All monitored meters.
pub(super) fn table(meters: &[Meter]) -> Markup {
    html! {
        div.scroll id=(TABLE) data-filter=[(meters.len() > FEW).then_some("")] {
            @if meters.is_empty() {
                p.none { "No meters are monitored. The cloud, or whoever commands this gateway, has named none yet." }
            } @else {
                (rows(meters))
            }
        }
    }
}

/// One of them, on a page of its own.
pub(super) fn alone(meter: &Meter) -> Markup {
    html! { div.scroll { (rows(std::slice::from_ref(meter))) } }
}

fn rows(meters: &[Meter]) -> Markup {
    html! {
        table.meters {
            thead {
                tr {
                    th scope="col" { "Meter" } th scope="col" { "State" } th scope="col" { "Latest values" }
                    th scope="col" { "Signal" } th scope="col" { "Heard" }
                }
            }
            tbody { @for meter in meters { (row(meter)) } }
        }
    }
}

/// The table, which changes as a whole when other meters are monitored, and its rows.
pub(super) fn parts(meters: &[Meter], parts: &mut Vec<Part>) {
    let names: Vec<_> = meters.iter().map(|meter| &meter.name).collect();
    parts.push(Part {
        version: hash(&names),
        ..Part::new(TABLE, table(meters))
    });
    parts.extend(meters.iter().map(|meter| Part {
        within: Some(TABLE),
        ..Part::new(&id(meter), row(meter))
    }));
}

fn row(meter: &Meter) -> Markup {
    html! {
        tr id=(id(meter)) {
            th scope="row" {
                a href=(format_args!("/meters/{}", meter.name)) { (meter.name) }
                small { (meter.model) }
            }
            td { (state(meter)) }
            td { (values(&meter.values)) }
            td { (signal(meter.rssi)) }
            td.heard {
                (heard(meter.last_heard, meter.condition != Condition::Unheard))
                @if let Some(seconds) = meter.interval { small title="between telegrams" { "every " (interval(seconds)) } }
            }
        }
    }
}

fn id(meter: &Meter) -> String {
    format!("meter-{}", meter.name)
}

fn state(meter: &Meter) -> Markup {
    match meter.condition {
        Condition::Unheard => html! { span.none { (meter.state()) } },
        _ => html! { (dot(meter.gives_readings())) (meter.state()) },
    }
}

fn values(values: &[Value]) -> Markup {
    html! {
        dl.values {
            @for value in values {
                div {
                    dt title=(value.name) { (short(&value.name)) }
                    dd { (grouped(&value.value)) " " span.unit { (value.unit) } }
                }
            }
        }
    }
}

/// `A+ / Active positive energy` is known as A+.
fn short(name: &str) -> &str {
    match name.split_once(" / ") {
        Some((short, _)) => short,
        None => name,
    }
}

/// When it was heard. The gateway may have heard it and not know the time.
fn heard(at: Option<Timestamp>, was_heard: bool) -> Markup {
    match at {
        Some(at) => time(at),
        None if was_heard => html! { span.none { "time unknown" } },
        None => html! { span.none { "never" } },
    }
}

/// Seconds in the largest unit that fits.
fn interval(seconds: f64) -> String {
    match seconds {
        ..120.0 => format!("{seconds:.0} s"),
        120.0..7200.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.0} h", seconds / 3600.0),
    }
}

/// How loud it was, with bars for the eye.
fn signal(rssi: Option<i8>) -> Markup {
    let Some(dbm) = rssi else {
        return html! { span.none { "unknown" } };
    };
    let bars = 1 + [-95, -85, -70]
        .iter()
        .filter(|limit| dbm >= **limit)
        .count();
    html! {
        span.signal {
            span.bars aria-hidden="true" {
                @for bar in 1..=4 { i.on[bar <= bars] {} }
            }
            span { (grouped(&dbm.to_string())) " " span.unit { "dBm" } }
        }
    }
}

/// The others on the air.
pub(super) fn unknown(meters: &[Unknown]) -> Markup {
    html! {
        div.scroll id="unknown" {
            @if meters.is_empty() {
                p.none { "None was heard." }
            } @else {
                table.stacked {
                    thead {
                        tr {
                            th scope="col" { "Meter" } th scope="col" { "Measures" } th.number scope="col" { "Version" }
                            th.number scope="col" { "Telegrams" } th scope="col" { "Signal" } th scope="col" { "Heard" }
                        }
                    }
                    tbody {
                        @for meter in meters.iter().take(SHOWN) {
                            tr {
                                th scope="row" { (meter.manufacturer) "-" (meter.id) }
                                td { (meter.medium) }
                                td.number data-label="version" { (format_args!("{:02X}", meter.version)) }
                                td.number data-label="telegrams" { (grouped(&meter.telegrams.to_string())) }
                                td { (signal(meter.rssi)) }
                                td.heard { (heard(meter.last_heard, true)) }
                            }
                        }
                    }
                }
                @if let Some(more @ 1..) = meters.len().checked_sub(SHOWN) {
                    p.none { "and " (more) " more, heard less often" }
                }
            }
        }
    }
}

const TABLE: &str = "meters";

/// More than so many are found by a filter.
const FEW: usize = 12;

/// Meters on the air that are shown.
const SHOWN: usize = 50;
