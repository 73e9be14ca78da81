//! Publisher: writes readings to the outbox and sends them to the broker. Receives `Publish`, `Announce` and `Flush`.
//!
//! Owns its connection to the broker. What must survive it is kept outside: the outbox and the announcements, which hold everything until
//! the broker has acknowledged it. Announcements go before readings; readings of one meter in order, meters in turn; at most a window of
//! messages is on its way. It also keeps the retained status: `online` after every connect, when something changed, at an interval, and
//! whenever somebody else says that we are `offline`; `offline` at the end, and by the last will; and the retained list of meters. Ends only by a bug: a broker that is
//! away is a state.

mod announcements;
mod broker_state;
mod config;
mod farewell;
mod in_flight;
mod messages;
mod meters_duty;
mod status_duty;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use actix::fut::wrap_future;
use actix::prelude::*;
use slog::{error, warn};

use crate::clock::{self, Stamp};
use crate::counters::Count;
use crate::faults;
use crate::mqtt::{Connection, Event, Failure, Outgoing, QoS};
use crate::output::recalc::Values;
use crate::store::outbox::{NewRow, OutboxState, Row};
use crate::supervision::{Monitor, unwinding};
use crate::tick;
use crate::uplink::Uplink;

pub use crate::uplink::THE_BROKER;
pub use announcements::Announcements;
pub use broker_state::BrokerState;
pub use config::Config;
pub use messages::{Announce, Announcement, Flush, FlushReport, MeterReading, News, Publish};

use farewell::Farewell;
use in_flight::{InFlight, Sent};
use meters_duty::MetersDuty;
use status_duty::StatusDuty;

/// See the [module documentation](self).
pub struct Publisher {
    config: Config,
    monitor: Arc<Monitor>,
    uplink: Uplink,
    in_flight: InFlight,
    /// Messages that are about to be handed to the session; kept for its room.
    batch: Vec<Outgoing>,
    status: StatusDuty,
    meters: MetersDuty,
    farewell: Option<Farewell>,
    /// The outbox as it was when losses were last reported.
    reported: OutboxState,
}

impl Publisher {
    /// A new life.
    pub fn new(config: Config, monitor: &Arc<Monitor>) -> Self {
        Self {
            status: StatusDuty::of(&config.status),
            config,
            monitor: Arc::clone(monitor),
            uplink: Uplink::new(monitor),
            in_flight: InFlight::default(),
            batch: Vec::new(),
            meters: MetersDuty::default(),
            farewell: None,
            reported: OutboxState::default(),
        }
    }

    fn accept(&self, reading: MeterReading) {
        let raw = reading.raw.clone();
        let _hand = self.config.rejects.hold(ACTOR, &raw);
        faults::hit(ACTOR, "");
        if reading.introduces {
            let news = News::Introduced(Arc::clone(&reading.profile));
            self.config.announcements.add(&reading.meter, news);
        }
        let Some(body) = self.config.outputs.encode(&reading) else {
            self.config.counters.increment(Count::NothingToPublish);
            return;
        };
        let values = Values::of(&reading.reading, &reading.profile);
        let MeterReading {
            meter,
            received_at,
            profile,
            ..
        } = &reading;
        let stamp = Stamp::of(*received_at);
        self.config.latest.note(meter, stamp, profile, &values);
        if let Stamp::Known(time) = stamp {
            self.config.outbox.record(meter, time, &values);
        }
        let row = NewRow {
            meter: reading.meter,
            received_at: stamp,
            body,
        };
        self.config.outbox.push(row, reading.memory, reading.raw);
    }

    fn connected(&mut self, connection: Connection) {
        self.uplink.connected(connection);
        self.config.broker_state.connected(clock::of_reception());
        self.status.acknowledged = false;
        self.forget_meters();
        if self
            .farewell
            .as_ref()
            .is_some_and(Farewell::is_past_draining)
        {
            self.say_offline();
        } else {
            self.say_online();
            self.send_more();
        }
    }

    fn disconnected(&mut self, failure: &Failure) {
        self.uplink.disconnected();
        self.config
            .broker_state
            .disconnected(failure, clock::of_reception());
        self.begin_again();
    }

    /// What was sent and not acknowledged is to be sent again.
    fn begin_again(&mut self) {
        self.in_flight.clear();
        self.config.announcements.rewind();
        self.config.outbox.rewind();
    }

    /// Sends as much as the window allows.
    fn send_more(&mut self) {
        let past_draining = self
            .farewell
            .as_ref()
            .is_some_and(Farewell::is_past_draining);
        if !self.uplink.is_connected() || past_draining {
            return;
        }
        while self.in_flight.messages() < self.config.window {
            if !(self.take_announcement() || self.take_reading()) {
                break;
            }
        }
        self.hand_over();
    }

    /// Whether there was one.
    fn take_announcement(&mut self) -> bool {
        let Some((meter, news)) = self.config.announcements.next() else {
            return false;
        };
        let before = self.batch.len();
        self.config.outputs.announce(&meter, &news, &mut self.batch);
        match self.batch.len() - before {
            0 => self.config.announcements.nothing_to_tell(),
            messages => self.in_flight.push(Sent::Announcement, messages),
        }
        true
    }

    /// Whether there was one.
    fn take_reading(&mut self) -> bool {
        let Some(row) = self.config.outbox.next() else {
            return false;
        };
        let _hand = RowInHand {
            config: &self.config,
            row: &row,
        };
        faults::hit("publisher.row", &row.reading.meter);
        let before = self.batch.len();
        self.config.outputs.render(&row.reading, &mut self.batch);
        match self.batch.len() - before {
            0 => self.config.outbox.remove(row.id),
            messages => self.in_flight.push(Sent::Row(row.id), messages),
        }
        true
    }

    fn hand_over(&mut self) {
        self.uplink.send(&mut self.batch);
    }

    fn acknowledged(&mut self, count: usize) {
        self.config
            .counters
            .add(Count::MessagesPublished, count as u64);
        let mut left = count;
        while let Some((done, took)) = self.in_flight.next_done(&mut left) {
            match done {
                Sent::Row(id) => {
                    self.config.latency.observe(took.as_secs_f64());
                    self.config.outbox.remove(id);
                }
                Sent::Announcement => self.config.announcements.acknowledged(),
                Sent::Online => self.status.acknowledged = true,
                Sent::Meters => {}
                Sent::Offline => self.said_offline(),
            }
        }
        self.send_more();
    }

    fn report_dropped(&mut self) {
        let state = self.config.outbox.state();
        if state.dropped > self.reported.dropped {
            warn!(self.config.log, "the outbox is full: the oldest readings were dropped";
                "reason" => "outbox full", "count" => state.dropped - self.reported.dropped, "total" => state.dropped);
        }
        if state.expired > self.reported.expired {
            warn!(self.config.log, "readings were dropped because the broker was away for too long";
                "reason" => "readings too old", "count" => state.expired - self.reported.expired, "total" => state.expired);
        }
        self.reported = state;
    }

    fn watch_outbox(&self, ctx: &mut Context<Self>) {
        let outbox = Arc::clone(&self.config.outbox);
        let ready = wrap_future::<_, Self>(async move { outbox.ready().notified().await });
        ctx.spawn(ready.map(|(), publisher, ctx| {
            publisher.send_more();
            publisher.watch_outbox(ctx);
        }));
    }

    fn tick(&mut self) {
        self.uplink.watch();
        self.report_dropped();
        self.keep_status();
        self.keep_meters();
        self.advance_farewell();
    }
}

impl Actor for Publisher {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        faults::hit("publisher.started", "");
        self.begin_again();
        self.reported = self.config.outbox.state();
        let Config { turn, log, .. } = &self.config;
        self.uplink
            .start(self.config.session(), turn, log.clone(), ctx);
        self.watch_outbox(ctx);
        ctx.run_interval_at(tick::next(TICK), TICK, |publisher, _| publisher.tick());
    }
}

impl Supervised for Publisher {}

impl StreamHandler<VecDeque<Event>> for Publisher {
    fn handle(&mut self, events: VecDeque<Event>, _: &mut Self::Context) {
        faults::hit("publisher.event", "");
        for event in events {
            match event {
                Event::Connected(connection) => self.connected(connection),
                Event::Disconnected { failure, .. } => self.disconnected(&failure),
                Event::Acknowledged(count) => self.acknowledged(count),
                Event::Message(message) => self.heard(&message),
                Event::Closed => self.closed(),
                Event::Listening | Event::SubscriptionRefused { .. } => {}
            }
        }
        self.advance_farewell();
    }

    fn finished(&mut self, ctx: &mut Self::Context) {
        if self.farewell.is_none() {
            self.monitor.fail(ctx, "the MQTT session ended");
        }
    }
}

impl Handler<Publish> for Publisher {
    type Result = ();

    fn handle(&mut self, Publish(readings): Publish, _: &mut Self::Context) {
        let introduces = readings.iter().any(|reading| reading.introduces);
        for reading in readings {
            self.accept(reading);
        }
        // The outbox rings for its rows, but a reading without channels has none.
        if introduces {
            self.send_more();
        }
    }
}

impl Handler<Announce> for Publisher {
    type Result = ();

    fn handle(&mut self, Announce(announcements): Announce, _: &mut Self::Context) {
        faults::hit(ACTOR, "");
        for Announcement { meter, news } in announcements {
            self.config.announcements.add(&meter, news);
        }
        self.send_more();
    }
}

impl Handler<Flush> for Publisher {
    type Result = ResponseFuture<FlushReport>;

    fn handle(&mut self, Flush { within }: Flush, ctx: &mut Self::Context) -> Self::Result {
        self.begin_farewell(within, ctx)
    }
}

/// The row in hand, for as long as its messages are made. If that fails the Publisher, the outbox counts it, and a row that does it again
/// and again goes to the rejects.
struct RowInHand<'a> {
    config: &'a Config,
    row: &'a Row,
}

impl Drop for RowInHand<'_> {
    fn drop(&mut self) {
        let Some(panic) = unwinding() else {
            return;
        };
        let Config {
            outbox,
            rejects,
            log,
            ..
        } = self.config;
        if let Some(row) = outbox.crashed(self.row.id) {
            let reading = &row.reading;
            error!(log, "a reading is given up: it made the Publisher fail again and again";
                "meter" => %reading.meter, "received_at" => reading.received_at.time().map(|time| time.to_string()), "error" => %panic);
            rejects.push_bytes(
                ACTOR,
                &reading.body,
                reading.received_at.time().unwrap_or_default(),
                &panic.to_string(),
            );
        }
    }
}

/// The name in logs, rejects and the client id.
const ACTOR: &str = "publisher";

/// How often is looked whether there is something to do that nobody rings for.
const TICK: Duration = Duration::from_secs(1);

fn retained(topic: &str, payload: String) -> Outgoing {
    Outgoing {
        topic: topic.into(),
        payload: payload.into_bytes(),
        qos: QoS::AtLeastOnce,
        retained: true,
    }
}
