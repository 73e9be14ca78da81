//! The way of a reading, station by station: source, meters, outbox, broker.

use maud::{Markup, html};

use super::{dot, grouped, time};
use crate::overview::{Condition, Meter, Overview};

/// All of them.
pub(super) fn stations(overview: &Overview) -> Markup {
    html! {
        ol.stations id="stations" aria-label="The way of a reading" {
            (source(overview)) (meters(overview)) (outbox(overview)) (broker(overview))
        }
    }
}

/// A station: its name, its state, and what is to be known of it.
fn station(name: &str, good: bool, state: &str, facts: &Markup) -> Markup {
    html! {
        li.station.failing[!good] {
            h2 { (name) }
            p.state { (dot(good)) (state) }
            dl { (facts) }
        }
    }
}

fn fact(name: &str, value: &Markup) -> Markup {
    html! { div { dt { (name) } dd { (value) } } }
}

fn source(overview: &Overview) -> Markup {
    let source = &overview.source;
    let name = if source.link_mode.is_some() || source.dongle.is_some() {
        "Dongle"
    } else {
        "Source"
    };
    let facts = html! {
        @if let Some(detail) = &source.detail { (fact("why", &html! { (detail) })) }
        @if let Some(last) = source.last_telegram { (fact("last telegram", &time(last))) }
        @if let Some(mode) = &source.link_mode { (fact("link mode", &html! { (mode) })) }
        @if let Some(path) = &source.path { (fact("port", &html! { (short(path)) })) }
        @if let Some(dongle) = &source.dongle { (fact("device", &html! { (dongle) })) }
        (fact("recovery steps", &html! { (source.recovery_steps) }))
        @if source.unplugged > 0 { (fact("unplugged", &html! { (source.unplugged) " ×" })) }
    };
    station(name, source.works, &source.state, &facts)
}

fn meters(overview: &Overview) -> Markup {
    let all = &overview.meters;
    let count = |wanted: fn(&Meter) -> bool| all.iter().filter(|meter| wanted(meter)).count();
    let reading = count(Meter::gives_readings);
    let silent = count(|meter| meter.condition == Condition::Reading && meter.silent);
    let refused = count(|meter| matches!(meter.condition, Condition::Refused(_)));
    let unheard = count(|meter| meter.condition == Condition::Unheard);
    let state = match all.len() {
        0 => "none monitored".to_owned(),
        all => format!("{reading} of {all} give readings"),
    };
    let facts = html! {
        @if refused > 0 { (fact("refused", &html! { (refused) })) }
        @if silent > 0 { (fact("silent", &html! { (silent) })) }
        @if unheard > 0 { (fact("not heard yet", &html! { (unheard) })) }
        (fact("not monitored", &html! { (overview.unknown.len()) }))
    };
    station("Meters", refused + silent == 0, &state, &facts)
}

fn outbox(overview: &Overview) -> Markup {
    let outbox = &overview.outbox;
    let state = match outbox.waiting + outbox.sent {
        0 => "empty".to_owned(),
        1 => "1 reading".to_owned(),
        readings => format!("{} readings", grouped(&readings.to_string())),
    };
    let facts = html! {
        @if let Some(disk) = &outbox.disk { (fact("disk", &html! { (disk) })) }
        @if let Some(oldest) = outbox.oldest { (fact("oldest", &time(oldest))) }
        (fact("size", &html! { (size(outbox.bytes)) }))
        (fact("dropped", &html! { (grouped(&outbox.dropped.to_string())) }))
    };
    station("Outbox", outbox.disk.is_none(), &state, &facts)
}

fn broker(overview: &Overview) -> Markup {
    let broker = &overview.broker;
    let state = if broker.connected {
        "connected"
    } else {
        "away"
    };
    let facts = html! {
        @if let Some(since) = broker.away_since { (fact("since", &time(since))) }
        (fact("address", &html! { (broker.url) }))
        (fact("messages", &html! { (grouped(&broker.published.to_string())) }))
        (fact("connections lost", &html! { (broker.lost) }))
    };
    station("Broker", broker.connected, state, &facts)
}

/// What tells one dongle's port from another's.
fn short(path: &str) -> &str {
    match path.rsplit_once("/by-id/") {
        Some((_, name)) => name,
        None => path,
    }
}

/// Bytes in the largest unit that gives a number above 1.
fn size(bytes: u64) -> String {
    let mut size = bytes as f64;
    for unit in ["B", "kB", "MB"] {
        if size < 1000.0 {
            let digits = usize::from(unit != "B" && size < 10.0);
            return format!("{size:.digits$} {unit}");
        }
        size /= 1000.0;
    }
    format!("{size:.1} GB")
}
