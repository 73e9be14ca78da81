//! The Publisher's farewell: drain, say `offline`, close the connection, within a time.

use std::time::Duration;

use actix::prelude::*;
use tokio::sync::oneshot;

use super::in_flight::Sent;
use super::{FlushReport, Publisher, retained};
use crate::clock;

/// A farewell in progress.
pub(super) struct Farewell {
    stage: Stage,
    said_offline: bool,
    answer: Option<oneshot::Sender<FlushReport>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Sending what is left.
    Draining,
    /// `offline` is on its way.
    Saying,
    /// The connection is being closed.
    Closing,
    /// It is over.
    Done,
}

impl Farewell {
    /// Nothing more is sent but `offline`.
    pub(super) fn is_past_draining(&self) -> bool {
        self.stage != Stage::Draining
    }
}

/// The part of the time that is kept for saying `offline`.
fn reserve(within: Duration) -> Duration {
    (within / 4).min(Duration::from_secs(1))
}

impl Publisher {
    pub(super) fn begin_farewell(
        &mut self,
        within: Duration,
        ctx: &mut Context<Self>,
    ) -> ResponseFuture<FlushReport> {
        let (answer, report) = oneshot::channel();
        self.farewell = Some(Farewell {
            stage: Stage::Draining,
            said_offline: false,
            answer: Some(answer),
        });
        ctx.run_later(within.saturating_sub(reserve(within)), |publisher, _| {
            if publisher.is_at(Stage::Draining) {
                publisher.say_offline();
            }
        });
        ctx.run_later(within, |publisher, _| publisher.finish_farewell());
        self.uplink.hurry();
        self.advance_farewell();
        Box::pin(async { report.await.unwrap_or_default() })
    }

    /// Goes on as soon as there is nothing left to send.
    pub(super) fn advance_farewell(&mut self) {
        if self.is_at(Stage::Draining) && self.left() == 0 && self.in_flight.is_empty() {
            self.say_offline();
        }
    }

    /// Without a connection nobody can be told; then the last will has told it, or will.
    pub(super) fn say_offline(&mut self) {
        if !self.uplink.is_connected() {
            self.finish_farewell();
            return;
        }
        self.enter(Stage::Saying);
        let status = self.config.status.offline(clock::of_reception());
        self.batch
            .push(retained(&self.config.topics.status(), status));
        self.in_flight.push(Sent::Offline, 1);
        self.hand_over();
    }

    pub(super) fn said_offline(&mut self) {
        self.enter(Stage::Closing);
        if let Some(farewell) = &mut self.farewell {
            farewell.said_offline = true;
        }
        self.uplink.close();
    }

    pub(super) fn closed(&mut self) {
        if self.farewell.is_some() {
            self.finish_farewell();
        }
    }

    /// A session that was not closed is dropped here, which ends it with the last will.
    fn finish_farewell(&mut self) {
        self.enter(Stage::Done);
        self.uplink.end();
        let left = self.left();
        if let Some(farewell) = &mut self.farewell
            && let Some(answer) = farewell.answer.take()
        {
            let said_offline = farewell.said_offline;
            // Nobody waits for the answer any more: then nobody needs it.
            let _ = answer.send(FlushReport { left, said_offline });
        }
    }

    fn left(&self) -> usize {
        let outbox = self.config.outbox.state();
        outbox.waiting + outbox.sent + self.config.announcements.len()
    }

    fn is_at(&self, stage: Stage) -> bool {
        self.farewell
            .as_ref()
            .is_some_and(|farewell| farewell.stage == stage)
    }

    fn enter(&mut self, stage: Stage) {
        if let Some(farewell) = &mut self.farewell {
            farewell.stage = stage;
        }
    }
}
