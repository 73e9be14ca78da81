//! Parser: turns raw telegrams into telegrams with a checked link layer. Receives `Parse`; sends `Route` to the Dispatcher.
//!
//! Owns nothing but its place in the pipeline. Ends only by a bug: a bad telegram is counted and kept among the rejects.

use std::borrow::Cow;
use std::sync::Arc;

use actix::prelude::*;
use slog::{Logger, debug, error};
use wmbus::{Address, Security};

use crate::counters::{Count, Counters};
use crate::dispatcher::Route;
use crate::faults;
use crate::forward::Forward;
use crate::raw_telegram::RawTelegram;
use crate::rejects::Rejects;
use crate::supervision::{Monitor, catch};

/// What every life of the Parser is made from.
#[derive(Clone)]
pub struct Config {
    /// The way to the Dispatcher.
    pub next: Forward<Route>,
    /// Counts by reason.
    pub counters: Arc<Counters>,
    /// Where telegrams go that could not be parsed.
    pub rejects: Rejects,
    /// Where to log.
    pub log: Logger,
}

/// See the [module documentation](self).
pub struct Parser {
    config: Config,
    monitor: Arc<Monitor>,
}

/// A telegram as the source delivered it.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Parse(pub RawTelegram);

/// A telegram whose link layer is valid, its link-layer CRCs verified and removed.
#[derive(Clone, Debug)]
pub struct CheckedTelegram {
    raw: RawTelegram,
    frame: Frame,
    address: Address,
    security: Option<Security>,
}

impl CheckedTelegram {
    /// Verifies the link layer of a telegram and removes what a receiver may have left on it.
    ///
    /// # Errors
    /// Those of [`wmbus::link::normalise`] and [`wmbus::link::Frame::new_checked`].
    pub fn check(raw: RawTelegram) -> Result<Self, (RawTelegram, wmbus::Error)> {
        match wmbus::link::normalise(raw.bytes()).and_then(Frame::of) {
            Ok((frame, address, security)) => Ok(Self {
                raw,
                frame,
                address,
                security,
            }),
            Err(error) => Err((raw, error)),
        }
    }

    /// The telegram from the L field on, without link-layer CRCs; still encrypted.
    pub fn bytes(&self) -> &[u8] {
        match &self.frame {
            Frame::Received { len } => self.raw.bytes().get(..*len).unwrap_or_default(),
            Frame::Stripped(bytes) => bytes,
        }
    }

    /// Whose telegram it claims to be.
    pub fn address(&self) -> Address {
        self.address
    }

    /// How it declares itself protected; `None` if its headers cannot be read.
    pub fn security(&self) -> Option<Security> {
        self.security
    }

    /// The telegram as it was received.
    pub fn raw(&self) -> &RawTelegram {
        &self.raw
    }
}

/// Where the telegram without its link-layer CRCs is.
#[derive(Clone, Debug)]
enum Frame {
    /// At the beginning of what was received.
    Received { len: usize },
    /// In a copy of its own, because CRCs stood between its blocks.
    Stripped(Arc<[u8]>),
}

impl Frame {
    fn of(bytes: Cow<'_, [u8]>) -> Result<(Self, Address, Option<Security>), wmbus::Error> {
        let sender = wmbus::link::Frame::new_checked(&bytes)?.address();
        // An adapter may send in a meter's name, and some meters have their address in an order of their own.
        let telegram = wmbus::Telegram::parse(&bytes).ok();
        let security = telegram.as_ref().map(wmbus::Telegram::security);
        let address = telegram.map_or(sender, |telegram| telegram.address());
        let frame = match bytes {
            Cow::Borrowed(bytes) => Self::Received { len: bytes.len() },
            Cow::Owned(bytes) => Self::Stripped(bytes.into()),
        };
        Ok((frame, address, security))
    }
}

impl Parser {
    /// One life.
    pub fn new(config: Config, monitor: &Arc<Monitor>) -> Self {
        Self {
            config,
            monitor: Arc::clone(monitor),
        }
    }

    /// A panic that one telegram causes is a rejection like any other: nobody can stop a gateway by radio.
    fn parse(&self, raw: &RawTelegram) -> Option<CheckedTelegram> {
        let Config {
            counters,
            rejects,
            log,
            ..
        } = &self.config;
        match catch(|| CheckedTelegram::check(raw.clone())) {
            Ok(Ok(telegram)) => {
                counters.increment(Count::TelegramsParsed);
                Some(telegram)
            }
            Ok(Err((_, error))) => {
                counters.increment(Count::LinkLayerInvalid);
                debug!(log, "telegram refused"; "reason" => "link layer invalid", "error" => %error);
                rejects.push(ACTOR, raw, &error.to_string());
                None
            }
            Err(panic) => {
                counters.increment(Count::ParserPanics);
                error!(log, "a telegram made the parser panic: please report it"; "reason" => "parser panic", "error" => %panic);
                rejects.push(ACTOR, raw, &panic.to_string());
                None
            }
        }
    }
}

impl Actor for Parser {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.config.next.resume(&self.monitor, ctx);
    }
}

impl Supervised for Parser {}

impl Handler<Parse> for Parser {
    type Result = ();

    fn handle(&mut self, Parse(raw): Parse, ctx: &mut Self::Context) {
        let _hand = self.config.rejects.hold(ACTOR, &raw);
        faults::hit(ACTOR, "");
        if let Some(telegram) = self.parse(&raw) {
            self.config.next.send(Route(telegram), &self.monitor, ctx);
        }
    }
}

/// The name in logs and rejects.
const ACTOR: &str = "parser";
