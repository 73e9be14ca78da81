//! Uplink: an actor's session with the broker, its present connection, and what the actor's [`Monitor`] is told of both.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use slog::Logger;

use crate::mqtt::{Config, Connection, Event, Outgoing, Session, Turn};
use crate::supervision::{Monitor, Waiting};

/// See the [module documentation](self).
pub(crate) struct Uplink {
    monitor: Arc<Monitor>,
    session: Option<Session>,
    connection: Option<Connection>,
    /// While there is no connection.
    away: Option<Waiting>,
    /// While the MQTT library hangs.
    hanging: Option<Waiting>,
}

impl Uplink {
    /// One that is not started.
    pub(crate) fn new(monitor: &Arc<Monitor>) -> Self {
        Self {
            monitor: Arc::clone(monitor),
            session: None,
            connection: None,
            away: None,
            hanging: None,
        }
    }

    /// Starts the session, whose events go to the actor. Without a thread for it the actor's life ends as failed.
    pub(crate) fn start<A>(
        &mut self,
        config: Config,
        turn: &Turn,
        log: Logger,
        ctx: &mut Context<A>,
    ) where
        A: Actor<Context = Context<A>> + StreamHandler<VecDeque<Event>>,
    {
        self.disconnected();
        match Session::start(config, turn, log) {
            Ok((session, events)) => {
                self.session = Some(session);
                ctx.add_stream(events);
            }
            Err(error) => self.monitor.fail(ctx, format_args!("no thread: {error}")),
        }
    }

    /// After [`Event::Connected`].
    pub(crate) fn connected(&mut self, connection: Connection) {
        self.connection = Some(connection);
        self.away = None;
    }

    /// After [`Event::Disconnected`].
    pub(crate) fn disconnected(&mut self) {
        self.connection = None;
        let monitor = &self.monitor;
        self.away
            .get_or_insert_with(|| monitor.waiting_for_ever(THE_BROKER));
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// Sends the messages on the present connection, in order, and leaves `messages` empty. Without one they are thrown away.
    pub(crate) fn send(&self, messages: &mut Vec<Outgoing>) {
        match (&self.session, self.connection) {
            (Some(session), Some(connection)) if !messages.is_empty() => {
                session.send(connection, messages);
            }
            _ => messages.clear(),
        }
    }

    /// To be called every few seconds. A library that hangs is a wait beyond its limit, which ends the process.
    pub(crate) fn watch(&mut self) {
        let silent = self
            .session
            .as_ref()
            .is_some_and(|session| session.silent_for() > SILENCE);
        if !silent {
            self.hanging = None;
        } else if self.hanging.is_none() {
            self.hanging = Some(self.monitor.waiting("the MQTT library"));
        }
    }

    /// Ends a wait between two attempts to connect.
    pub(crate) fn hurry(&self) {
        if let Some(session) = &self.session {
            session.hurry();
        }
    }

    /// Ends the connection without the last will; [`Event::Closed`] follows.
    pub(crate) fn close(&self) {
        if let Some(session) = &self.session {
            session.close();
        }
    }

    /// Ends the session: with the last will, unless it was closed before.
    pub(crate) fn end(&mut self) {
        self.connection = None;
        self.session = None;
    }
}

/// What an actor waits for while it has no connection.
pub const THE_BROKER: &str = "the broker";

/// Silence of the session's thread that does not happen to a healthy one.
const SILENCE: Duration = Duration::from_secs(10);
