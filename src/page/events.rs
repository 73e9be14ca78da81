//! Server-sent events: the parts of the page that have changed, once a second.
//!
//! The page is made of parts that are rendered here as they are on the page ([`view::parts`]); every open page gets those that differ from
//! what it was sent last. All open pages share one rendering. A page that does not read is not waited for: its next event is made when it
//! takes it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use actix_web::body::{BodySize, MessageBody};
use actix_web::web::{Bytes, Data};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::view::{self, Part};
use crate::overview::Sources;

/// All who look at the page.
pub(super) struct Audience {
    pub(super) sources: Sources,
    places: Arc<Semaphore>,
    rendering: Mutex<Option<Rendering>>,
}

#[derive(Clone)]
struct Rendering {
    at: Instant,
    time: i64,
    parts: Arc<Vec<Part>>,
}

impl Audience {
    pub(super) fn new(sources: Sources) -> Self {
        Self {
            sources,
            places: Arc::new(Semaphore::new(PLACES)),
            rendering: Mutex::new(None),
        }
    }

    /// The parts as they are now, or were a moment ago.
    fn rendering(&self) -> Rendering {
        let mut rendering = self
            .rendering
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match &*rendering {
            Some(rendering) if rendering.at.elapsed() < INTERVAL / 2 => rendering.clone(),
            _ => {
                let overview = self.sources.overview();
                let new = Rendering {
                    at: Instant::now(),
                    time: overview.time.as_millisecond(),
                    parts: Arc::new(view::parts(&overview)),
                };
                rendering.insert(new).clone()
            }
        }
    }
}

/// The events of one open page.
pub(super) struct Events {
    audience: Data<Audience>,
    _place: OwnedSemaphorePermit,
    interval: Interval,
    /// What it was sent last of each part.
    sent: HashMap<Arc<str>, u64>,
    spoke_at: Instant,
}

impl Events {
    /// If there is room for one more.
    pub(super) fn for_one_more(audience: &Data<Audience>) -> Option<Self> {
        let place = Arc::clone(&audience.places).try_acquire_owned().ok()?;
        let mut interval = interval(INTERVAL);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Some(Self {
            audience: Data::clone(audience),
            _place: place,
            interval,
            sent: HashMap::new(),
            spoke_at: Instant::now(),
        })
    }

    /// The next event, if there is something to say.
    fn event(&mut self) -> Option<Bytes> {
        let Rendering { time, parts, .. } = self.audience.rendering();
        let mut news = Vec::new();
        let mut whole = None;
        for part in parts.iter() {
            if self.sent.insert(Arc::clone(&part.id), part.version) == Some(part.version) {
                continue;
            }
            // What was sent whole is not sent in pieces too.
            if part.within.is_none() || part.within != whole {
                news.push((&*part.id, &*part.html));
            }
            if part.within.is_none() {
                whole = Some(&*part.id);
            }
        }
        if self.sent.len() > parts.len() {
            self.sent
                .retain(|id, _| parts.iter().any(|part| part.id == *id));
        }
        let silent = self.spoke_at.elapsed() >= SILENCE;
        if news.is_empty() && !silent {
            return None;
        }
        self.spoke_at = Instant::now();
        let event = json!({"time": time, "parts": news});
        Some(format!("data: {event}\n\n").into())
    }
}

impl MessageBody for Events {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        let this = self.get_mut();
        loop {
            ready!(this.interval.poll_tick(cx));
            if let Some(event) = this.event() {
                return Poll::Ready(Some(Ok(event)));
            }
        }
    }
}

/// Pages open at once. Fewer than connections, so that there is always room for a health check.
const PLACES: usize = 16;

/// How often is looked for something new.
const INTERVAL: Duration = Duration::from_secs(1);

/// An open page hears something at least so often; otherwise it says that the gateway is away.
const SILENCE: Duration = Duration::from_secs(5);
