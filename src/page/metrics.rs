//! `/metrics`: the overview as figures, in the text formats that Prometheus reads.
//!
//! Base units, names with the prefix `omnigate_`. Counted telegrams are one metric with the labels `outcome` and `reason`; every other
//! counter is a metric of its own, so that a counter that is added appears here by itself. The figures of single meters are those of at
//! most [`METERS`] meters.

use std::fmt;

use jiff::Timestamp;
use omnigate_actors::driver::status::Steps;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, prometheus_text, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::process::Process;
use crate::overview::{Actor, Counter, Meter, Overview, Sources};

/// The formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// What a server gets that asks for it.
    OpenMetrics,
    /// What everybody else gets.
    Prometheus,
}

impl Format {
    /// The best that a client accepts, judged by its `Accept` header.
    pub fn accepted(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") {
            Self::OpenMetrics
        } else {
            Self::Prometheus
        }
    }

    /// The content type.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// All metrics as they are now.
///
/// # Errors
/// Never, as far as is known: the text is written to memory.
pub fn metrics(sources: &Sources, format: Format) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("omnigate");
    registry.register_collector(Box::new(Snapshot {
        overview: sources.overview(),
        steps: sources.driver.subscribe().borrow().steps,
        latency: sources.latency.clone(),
        process: Process::now(),
    }));
    let mut text = String::new();
    match format {
        Format::OpenMetrics => text::encode(&mut text, &registry)?,
        Format::Prometheus => prometheus_text::encode(&mut text, &registry)?,
    }
    Ok(text)
}

/// Everything at one moment.
#[derive(Debug)]
struct Snapshot {
    overview: Overview,
    steps: Steps,
    latency: Histogram,
    process: Process,
}

impl Collector for Snapshot {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut to = Encoder(encoder);
        self.gateway(&mut to)?;
        telegrams(&mut to, &self.overview.counters)?;
        self.source(&mut to)?;
        self.broker(&mut to)?;
        actors(&mut to, &self.overview.actors)?;
        self.meters(&mut to)?;
        self.process.encode(&mut to)
    }
}

impl Snapshot {
    fn gateway(&self, to: &mut Encoder<'_>) -> fmt::Result {
        let overview = &self.overview;
        let labels = [("version", overview.version.as_str())];
        to.gauges(
            "build_info",
            "The program's version; always 1.",
            None,
            [(labels, 1.0)],
        )?;
        to.gauge(
            "ready",
            "Whether the gateway does its work: 1 or 0.",
            None,
            f64::from(overview.is_ready()),
        )?;
        if let Some(started) = overview.started {
            to.gauge(
                "start_time",
                "When the program started, since the epoch.",
                Some(&Unit::Seconds),
                seconds(started),
            )?;
        }
        Ok(())
    }

    fn source(&self, to: &mut Encoder<'_>) -> fmt::Result {
        let source = &self.overview.source;
        to.gauge(
            "source_working",
            "Whether telegrams can come: 1 or 0.",
            None,
            f64::from(source.works),
        )?;
        if let Some(last) = source.last_telegram {
            to.gauge(
                "source_last_telegram_time",
                "When the last telegram came, since the epoch.",
                Some(&Unit::Seconds),
                seconds(last),
            )?;
        }
        let Steps {
            ping,
            set_link_mode,
            reset,
            reopen,
        } = self.steps;
        let steps = [
            ("ping", ping),
            ("set_link_mode", set_link_mode),
            ("reset", reset),
            ("reopen", reopen),
        ];
        to.counters(
            "recovery_steps",
            "Steps of the dongle's recovery ladder.",
            steps.map(|(step, count)| ([("step", step)], count)),
        )?;
        to.counter(
            "source_unplugged",
            "How often the dongle was unplugged.",
            source.unplugged,
        )
    }

    fn broker(&self, to: &mut Encoder<'_>) -> fmt::Result {
        let Overview { broker, outbox, .. } = &self.overview;
        to.gauge(
            "broker_connected",
            "Whether there is a connection to the broker: 1 or 0.",
            None,
            f64::from(broker.connected),
        )?;
        let states = [
            ([("state", "waiting")], outbox.waiting as f64),
            ([("state", "sent")], outbox.sent as f64),
        ];
        to.gauges(
            "outbox_readings",
            "Readings in the outbox: that wait to be sent, and that were sent and are not acknowledged.",
            None,
            states,
        )?;
        to.gauge(
            "outbox_size",
            "About how much room the outbox takes.",
            Some(&Unit::Bytes),
            outbox.bytes as f64,
        )?;
        to.gauge(
            "disk_working",
            "Whether the database on disk works: 1 or 0.",
            None,
            f64::from(outbox.disk.is_none()),
        )?;
        let age = outbox
            .oldest
            .map_or(0.0, |oldest| seconds(self.overview.time) - seconds(oldest));
        to.gauge(
            "outbox_oldest_age",
            "Age of the oldest reading in the outbox; 0 if there is none.",
            Some(&Unit::Seconds),
            age.max(0.0),
        )?;
        let name = "publish_latency";
        let help = "From when a reading was handed to MQTT until the broker acknowledged all of its messages.";
        let descriptor =
            to.0.encode_descriptor(name, help, Some(&Unit::Seconds), self.latency.metric_type())?;
        self.latency.encode(descriptor)
    }

    fn meters(&self, to: &mut Encoder<'_>) -> fmt::Result {
        let all = &self.overview.meters;
        to.gauge(
            "meters_monitored",
            "Meters that are monitored.",
            None,
            all.len() as f64,
        )?;
        to.gauge(
            "meters_unknown",
            "Meters on the air that are not monitored, at most 512.",
            None,
            self.overview.unknown.len() as f64,
        )?;
        let meters = all.get(..METERS).unwrap_or(all);
        let of = |value: fn(&Meter) -> Option<f64>| {
            meters
                .iter()
                .filter_map(move |meter| Some(([("meter", meter.name.as_str())], value(meter)?)))
        };
        to.gauges(
            "meter_last_heard_time",
            "When the meter's last telegram came, since the epoch.",
            Some(&Unit::Seconds),
            of(|meter| meter.last_heard.map(seconds)),
        )?;
        to.gauges(
            "meter_rssi_dbm",
            "How loud the meter's last telegram was, in dBm.",
            None,
            of(|meter| meter.rssi.map(f64::from)),
        )
    }
}

fn telegrams(to: &mut Encoder<'_>, counters: &[Counter]) -> fmt::Result {
    let outcomes = counters
        .iter()
        .filter_map(|counter| Some((outcome(&counter.name)?, counter.count)));
    to.counters(
        "telegrams",
        "Telegrams by what became of them, and why.",
        outcomes
            .map(|((outcome, reason), count)| ([("outcome", outcome), ("reason", reason)], count)),
    )?;
    for counter in counters {
        // Those are shown with their steps.
        if outcome(&counter.name).is_none() && counter.name != "recovery_steps" {
            to.counter(&counter.name, &counter.meaning, counter.count)?;
        }
    }
    Ok(())
}

/// What became of the telegrams that this counter counts, and why; none if it counts something else.
fn outcome(counter: &str) -> Option<(&str, &str)> {
    match counter {
        "readings" => Some(("reading", "")),
        "held" => Some(("held", "")),
        "fragments" => Some(("fragment", "")),
        "unknown_meter" => Some(("ignored", counter)),
        _ => ["rejected", "dropped"].into_iter().find_map(|outcome| {
            let reason = counter.strip_prefix(outcome)?.strip_prefix('_')?;
            Some((outcome, reason))
        }),
    }
}

fn actors(to: &mut Encoder<'_>, actors: &[Actor]) -> fmt::Result {
    let service = || actors.iter().filter(|actor| !actor.name.contains('/'));
    let named = |actor: &'_ Actor| [("actor", actor.name.clone())];
    to.counters(
        "actor_restarts",
        "How often an actor was started again.",
        service().map(|actor| (named(actor), actor.restarts.into())),
    )?;
    to.gauges(
        "actor_alive",
        "Whether an actor is alive: 1 or 0.",
        None,
        service().map(|actor| (named(actor), f64::from(actor.alive))),
    )?;
    to.gauges(
        "actor_mailbox_messages",
        "Messages that an actor found in its mailbox in its last turn, at most 128.",
        None,
        service().map(|actor| (named(actor), actor.mail.into())),
    )?;
    let handlers = || actors.iter().filter(|actor| actor.name.contains('/'));
    to.counter(
        "meter_handler_restarts",
        "How often the handlers of monitored meters were started again.",
        handlers().map(|actor| u64::from(actor.restarts)).sum(),
    )?;
    to.gauge(
        "meter_handlers_down",
        "Handlers of meters that wait to be started again.",
        None,
        handlers().filter(|actor| !actor.alive).count() as f64,
    )
}

/// Writes metrics one after the other.
pub(super) struct Encoder<'a>(DescriptorEncoder<'a>);

impl Encoder<'_> {
    pub(super) fn gauge(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        value: f64,
    ) -> fmt::Result {
        let to = self
            .0
            .encode_descriptor(name, without_stop(help), unit, MetricType::Gauge)?;
        ConstGauge::new(value).encode(to)
    }

    pub(super) fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let to = self
            .0
            .encode_descriptor(name, without_stop(help), None, MetricType::Counter)?;
        ConstCounter::new(value).encode(to)
    }

    pub(super) fn seconds_counter(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        let unit = Some(&Unit::Seconds);
        let to = self
            .0
            .encode_descriptor(name, without_stop(help), unit, MetricType::Counter)?;
        ConstCounter::new(value).encode(to)
    }

    fn gauges<V: prometheus_client::encoding::EncodeLabelValue, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        values: impl IntoIterator<Item = ([(&'static str, V); N], f64)>,
    ) -> fmt::Result {
        let mut to = self
            .0
            .encode_descriptor(name, without_stop(help), unit, MetricType::Gauge)?;
        for (labels, value) in values {
            ConstGauge::new(value).encode(to.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn counters<V: prometheus_client::encoding::EncodeLabelValue, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = ([(&'static str, V); N], u64)>,
    ) -> fmt::Result {
        let mut to =
            self.0
                .encode_descriptor(name, without_stop(help), None, MetricType::Counter)?;
        for (labels, value) in values {
            ConstCounter::new(value).encode(to.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

/// The library adds a full stop.
fn without_stop(help: &str) -> &str {
    help.strip_suffix('.').unwrap_or(help)
}

fn seconds(time: Timestamp) -> f64 {
    time.as_millisecond() as f64 / 1000.0
}

/// Meters whose own figures are shown.
const METERS: usize = 1000;
