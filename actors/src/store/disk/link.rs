//! Link: the way to the database, with what to do when it fails. Opens it, moves it aside when it is damaged, tries again.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use slog::{Logger, error, info, warn};

use super::database::Database;
use super::failure::Failure;
use super::meters::{self, StoredMeter};
use super::rescue::{Rescued, rescue};
use super::state_dir::Place;
use crate::counters::{Count, Counters};

/// See the [module documentation](self).
pub(super) struct Link {
    place: Box<dyn Place>,
    log_bytes: u32,
    /// Names the present start of the system.
    boot: String,
    log: Logger,
    database: Option<Database>,
    /// It has to be moved aside before it is opened again.
    damaged: bool,
    trouble: Option<Trouble>,
}

struct Trouble {
    reason: String,
    /// There is no room, and nothing else is wrong.
    full: bool,
    attempts: u32,
    retry_at: Instant,
    told_at: Instant,
}

impl Link {
    pub(super) fn new(place: Box<dyn Place>, log_bytes: u32, boot: String, log: Logger) -> Self {
        Self {
            place,
            log_bytes,
            boot,
            log,
            database: None,
            damaged: false,
            trouble: None,
        }
    }

    /// The database, if it is open.
    pub(super) fn database(&mut self) -> Option<&mut Database> {
        self.database.as_mut()
    }

    /// When to try again, if it does not work.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.trouble.as_ref().map(|trouble| trouble.retry_at)
    }

    /// Opens the database. One that is damaged is moved aside, and a new one begun with what can be rescued.
    pub(super) fn open(
        &mut self,
        now: Timestamp,
        counters: &Counters,
    ) -> Result<&mut Database, Failure> {
        if !self.damaged {
            match self.connect() {
                Err(Failure::Damaged(reason)) => self.mark_damaged(&reason),
                opened => return Ok(self.database.insert(opened?)),
            }
        }
        let (aside, old) = self.place.set_aside(now)?;
        self.damaged = false;
        counters.increment(Count::DatabasesSetAside);
        let mut new = self.connect()?;
        let rescued = match old {
            Some(old) => rescue(&old, &mut new)?,
            None => Rescued::default(),
        };
        error!(self.log, "the damaged database was moved aside and a new one begun";
            "aside" => aside, "readings_rescued" => rescued.readings, "meters_rescued" => rescued.meters);
        Ok(self.database.insert(new))
    }

    /// The meters, from a database that cannot be opened in the ordinary way, for instance because the disk is read-only.
    pub(super) fn read_only_meters(&self) -> Option<Vec<StoredMeter>> {
        meters::load_readable(&self.place.connect_read_only().ok()?)
    }

    /// Lets go of a connection that cannot write, so that the next attempt makes a new one: the disk may have been replaced. One to a
    /// full disk is kept, because with it the log would lose its place. Answers whether there is none any more.
    pub(super) fn let_go(&mut self) -> bool {
        if self.trouble.as_ref().is_some_and(|trouble| !trouble.full) {
            self.database = None;
        }
        self.database.is_none()
    }

    /// Something failed. Answers whether the database can still be read.
    pub(super) fn fail(&mut self, now: Instant, failure: &Failure) -> bool {
        if let Failure::Damaged(reason) = failure {
            self.mark_damaged(reason);
        }
        if !failure.keeps_connection() {
            self.database = None;
        }
        let reason = failure.to_string();
        let attempts = self.trouble.as_ref().map_or(0, |trouble| trouble.attempts);
        // A new database can be begun at once.
        let pause = if self.damaged && attempts == 0 {
            Duration::ZERO
        } else {
            pause(attempts)
        };
        let known = self.trouble.take().filter(|trouble| {
            trouble.reason == reason && now.duration_since(trouble.told_at) < REMINDER
        });
        if known.is_none() {
            error!(self.log, "the database does not work: readings continue from memory"; "error" => &reason);
        }
        self.trouble = Some(Trouble {
            reason,
            full: matches!(failure, Failure::Full(_)),
            attempts: attempts + 1,
            retry_at: now + pause,
            told_at: known.map_or(now, |trouble| trouble.told_at),
        });
        self.database.is_some()
    }

    /// It works. Answers whether that is news.
    pub(super) fn works(&mut self) -> bool {
        let recovered = self.trouble.take().is_some();
        if recovered {
            info!(self.log, "the database works again");
        }
        recovered
    }

    /// Closes the database.
    pub(super) fn close(&mut self) {
        if let Some(Err(failure)) = self.database.take().map(Database::close) {
            warn!(self.log, "the database did not close cleanly"; "error" => %failure);
        }
    }

    fn connect(&self) -> Result<Database, Failure> {
        Database::new(self.place.connect()?, self.log_bytes, &self.boot)
    }

    fn mark_damaged(&mut self, reason: &str) {
        error!(self.log, "the database is damaged"; "error" => reason);
        self.damaged = true;
        self.database = None;
    }
}

fn pause(attempts: u32) -> Duration {
    RETRY_SHORTEST
        .saturating_mul(1 << attempts.min(10))
        .min(RETRY_LONGEST)
}

const RETRY_SHORTEST: Duration = Duration::from_secs(1);
const RETRY_LONGEST: Duration = Duration::from_secs(30);

/// How often the same failure is reported.
const REMINDER: Duration = Duration::from_secs(3600);
