//! The page itself, as HTML. maud escapes every text that stands between tags or in attributes, wherever it came from.

mod history;
mod meters;
mod stations;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use jiff::Timestamp;
use maud::{DOCTYPE, Markup, html};

use crate::overview::{Actor, Counter, Overview, Trouble};

pub(super) use self::history::{History, document as document_of_meter};

/// A part of the page that can be put in the place of an older one.
pub(super) struct Part {
    /// The `id` of its element.
    pub(super) id: Arc<str>,
    /// The element.
    pub(super) html: String,
    /// Another number if it has changed.
    pub(super) version: u64,
    /// The part that it is in.
    pub(super) within: Option<&'static str>,
}

impl Part {
    fn new(id: &str, html: Markup) -> Self {
        let html = html.into_string();
        Self {
            id: id.into(),
            version: hash(&html),
            html,
            within: None,
        }
    }
}

/// The whole page.
pub(super) fn document(overview: &Overview) -> Markup {
    let content = html! {
        (troubles(&overview.troubles))
        (stations::stations(overview))
        section aria-labelledby="meters-title" {
            h2 id="meters-title" { "Meters" }
            (meters::table(&overview.meters))
        }
        section aria-labelledby="unknown-title" {
            h2 id="unknown-title" { "On the air, not monitored" }
            (meters::unknown(&overview.unknown))
        }
        section aria-labelledby="actors-title" {
            h2 id="actors-title" { "Actors" }
            (actors(&overview.actors))
        }
        (counters(&overview.counters))
    };
    frame(overview, "omnigate", &content)
}

/// Everything on the page that changes, as it stands there.
pub(super) fn parts(overview: &Overview) -> Vec<Part> {
    let mut parts = vec![
        Part::new("state", state(overview)),
        Part::new("troubles", troubles(&overview.troubles)),
        Part::new("stations", stations::stations(overview)),
        Part::new("unknown", meters::unknown(&overview.unknown)),
        Part::new("actors", actors(&overview.actors)),
        Part::new("counters", counters(&overview.counters)),
    ];
    meters::parts(&overview.meters, &mut parts);
    parts
}

/// What is around everything.
fn frame(overview: &Overview, title: &str, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (overview.gateway) " · " (title) }
                link rel="icon" href="/icon.svg";
                link rel="stylesheet" href="/style.css";
                script src="/live.js" defer {}
            }
            body {
                header {
                    h1 { a href="/" { "omnigate" } }
                    span.gateway { (overview.gateway) }
                    (state(overview))
                }
                p.stale role="status" { "The gateway does not answer. What is shown is old." }
                main { (content) }
                footer {
                    "omnigate " (overview.version) " · "
                    @if let Some(at) = overview.started { "started " (time(at)) " · " }
                    a href="/metrics" { "metrics" } " · " a href="/healthz" { "health" }
                }
            }
        }
    }
}

fn state(overview: &Overview) -> Markup {
    let (class, text) = if overview.is_ready() {
        ("good", "ready")
    } else {
        ("bad", "not ready")
    };
    html! { span.pill.(class) id="state" { (text) } }
}

fn troubles(troubles: &[Trouble]) -> Markup {
    html! {
        ul.troubles id="troubles" aria-live="polite" {
            @for trouble in troubles {
                li {
                    strong { (trouble.part) } " " (trouble.what)
                    @if let Some(since) = trouble.since { span.since { " since " (time(since)) } }
                }
            }
        }
    }
}

fn actors(actors: &[Actor]) -> Markup {
    html! {
        div.scroll id="actors" {
            table.stacked {
                thead {
                    tr {
                        th scope="col" { "Actor" } th scope="col" { "State" } th.number scope="col" { "Restarts" }
                        th.number scope="col" { "Mailbox" } th scope="col" { "Last error" }
                    }
                }
                tbody {
                    @for actor in actors {
                        tr {
                            th scope="row" class=[actor.name.contains('/').then_some("child")] { (actor.name) }
                            td { (dot(actor.alive)) (actor.state) }
                            td.number.warn[actor.restarts > 0] data-label="restarts" { (actor.restarts) }
                            td.number data-label="mailbox" { (actor.mail) }
                            td.error {
                                @if let Some(error) = &actor.last_error {
                                    (error)
                                    @if let Some(at) = actor.last_error_at { " · " (time(at)) }
                                } @else { span.none { "none" } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn counters(counters: &[Counter]) -> Markup {
    html! {
        details id="counters" {
            summary { "Counters since the start" }
            table {
                tbody {
                    @for counter in counters.iter().filter(|counter| counter.count > 0) {
                        tr {
                            th scope="row" { (counter.meaning) }
                            td.number { (grouped(&counter.count.to_string())) }
                        }
                    }
                }
            }
        }
    }
}

/// A mark for what works and what does not. The text beside it says the same.
fn dot(good: bool) -> Markup {
    html! { span.dot.good[good].bad[!good] aria-hidden="true" {} }
}

/// A moment. The script on the page tells how long ago that was.
fn time(time: Timestamp) -> Markup {
    let second = Timestamp::from_second(time.as_second()).unwrap_or(time);
    html! { time datetime=(second) { (second.strftime("%Y-%m-%d %H:%M:%S UTC")) } }
}

/// A decimal number with thin spaces between its thousands.
pub(super) fn grouped(number: &str) -> String {
    let (sign, number) = match number.strip_prefix('-') {
        Some(number) => ("\u{2212}", number),
        None => ("", number),
    };
    let (whole, fraction) = match number.split_once('.') {
        Some((whole, _)) => number.split_at(whole.len()),
        None => (number, ""),
    };
    let mut text = sign.to_owned();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text + fraction
}

fn hash(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests;
