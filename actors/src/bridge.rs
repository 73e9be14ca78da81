//! Bridge: the gateway as home automation sees it, in topics like those of zigbee2mqtt, below `<base>/bridge/`. Receives nothing; hears
//! `bridge/request/#` and Home Assistant's birth message at the broker. Sends to Meters and Publisher, `StopRequested` to the root.
//!
//! Only with the state output. Says: `state` (`{"state":"online"}`, by its last will `offline`), `info`, `meters` (without keys), `logging`,
//! `event`; for each meter `<meter>/availability` and `<meter>/diagnostics`, and Home Assistant's device discovery. Answers requests on
//! `bridge/response/<verb>` with `status`, `data` or `error`, and the caller's `transaction`.
//!
//! Owns its connection to the broker: there is one last will for each, and the Publisher's is the status. Every session is a clean one and
//! requests are subscribed at QoS 0, so the broker keeps none for a gateway that is away; a retained one is ignored. What is retained is what
//! is, not what happened: on each connection all of it is told anew (`survey`), so nothing of it has to be kept while the broker is away. What
//! an earlier run described elsewhere is cleared first (`former`); a life that begins because the settings have changed is no different.
//! Awaits only Meters. Ends only by a bug: a bad request is answered, not fatal.

mod config;
mod feed;
mod former;
mod home_assistant;
mod request;
mod requests;
mod silence;
mod survey;
mod view;
mod watched;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use serde_json::json;
use slog::{debug, info};

use crate::commander::Paced;
use crate::faults;
use crate::mqtt::{Connection, Event, Incoming, Outgoing, QoS};
use crate::output::base_topic::BaseTopic;
use crate::output::state::STATE;
use crate::publisher::{Announce, Announcement, News};
use crate::supervision::Monitor;
use crate::tick;
use crate::uplink::Uplink;

pub use config::{Config, Levers};
pub use feed::{Feed, Line};
pub use home_assistant::HomeAssistant;
pub use request::LogLevel;

use config::{INFO, METERS};
use former::Former;
use survey::Survey;
use view::Seen;

/// See the [module documentation](self).
pub struct Bridge {
    config: Config,
    /// Where meters are described in this life.
    home_assistant: Option<HomeAssistant>,
    monitor: Arc<Monitor>,
    uplink: Uplink,
    link: Option<Link>,
    survey: Survey,
    former: Former,
    seen: Seen,
    paced: Paced,
    /// Restarts of single actors, which use up their budgets.
    restarts: Paced,
    /// Meters of an earlier run, whose states the Publisher is to clear.
    strangers: Vec<Announcement>,
    /// The gateway stops when so many messages of this connection are acknowledged: the answer to the request is the last of them.
    stop_after: Option<u64>,
    recall: Recall,
    /// The information is not as it was told last.
    info_due: bool,
}

/// What of an earlier run's words was read.
#[derive(Default)]
struct Recall {
    list: bool,
    info: bool,
    /// The broker had its time: it keeps nothing.
    given_up: bool,
}

impl Recall {
    fn is_complete(&self) -> bool {
        self.list && self.info || self.given_up
    }
}

/// What is known of the present connection.
struct Link {
    since: Instant,
    /// Messages sent and acknowledged on it.
    sent: u64,
    acknowledged: u64,
    /// When we last said that we are online.
    said_online: Instant,
}

impl Bridge {
    /// A new life.
    pub fn new(config: Config, monitor: &Arc<Monitor>) -> Self {
        let home_assistant = config.home_assistant.get().as_ref().clone();
        Self {
            survey: Survey::new(
                config.base.clone(),
                config.topics.gateway_id(),
                home_assistant.clone(),
            ),
            former: Former::default(),
            home_assistant,
            seen: Seen::default(),
            paced: Paced::new(config.pace),
            restarts: Paced::new(requests::RESTARTS),
            config,
            monitor: Arc::clone(monitor),
            uplink: Uplink::new(monitor),
            link: None,
            strangers: Vec::new(),
            stop_after: None,
            recall: Recall::default(),
            info_due: true,
        }
    }

    fn connected(&mut self, connection: Connection) {
        let now = Instant::now();
        self.uplink.connected(connection);
        self.survey.forget_told();
        self.former.forget_told();
        self.info_due = true;
        self.link = Some(Link {
            since: now,
            sent: 0,
            acknowledged: 0,
            said_online: now,
        });
        let online = retained(
            self.config.base.bridge(STATE),
            json!({"state": "online"}).to_string(),
        );
        self.send(vec![online]);
    }

    fn disconnected(&mut self) {
        self.uplink.disconnected();
        self.link = None;
        self.stop_if_answered();
    }

    fn hear(&mut self, message: Incoming, ctx: &mut Context<Self>) {
        faults::hit(ACTOR, "");
        let base = &self.config.base;
        if message.topic == base.bridge(STATE) {
            self.hear_state(&message);
        } else if [METERS, INFO]
            .map(|of| base.bridge(of))
            .contains(&message.topic)
        {
            self.hear_earlier(&message);
        } else if self
            .home_assistant
            .as_ref()
            .is_some_and(|at| at.status() == message.topic)
        {
            if *message.payload == b"online" {
                info!(
                    self.config.log,
                    "Home Assistant has started: meters are described again"
                );
                self.survey.describe_again();
                self.tell();
            }
        } else {
            self.hear_request(&message, ctx);
        }
    }

    /// The last will of a connection that died may be published long after a newer `online`.
    fn hear_state(&mut self, message: &Incoming) {
        let offline = crate::status::says_offline(&message.payload);
        if let Some(link) = self.link.as_mut().filter(|_| offline)
            && link.said_online.elapsed() >= CORRECTION_GAP
        {
            link.said_online = Instant::now();
            let state = json!({"state": "online"}).to_string();
            self.send(vec![retained(self.config.base.bridge(STATE), state)]);
        }
    }

    /// What an earlier run said last. What we say ourselves comes back too, not as retained.
    fn hear_earlier(&mut self, message: &Incoming) {
        if !message.retained || self.recall.is_complete() {
            return;
        }
        if message.topic == self.config.base.bridge(METERS) {
            self.recall.list = true;
            self.survey
                .recall(&message.payload, &self.config.catalogue, Instant::now());
        } else {
            self.recall.info = true;
            let gateway_id = self.config.topics.gateway_id();
            self.former =
                Former::recall(&message.payload, gateway_id, self.home_assistant.as_ref());
        }
        self.look();
    }

    /// Looks at what has changed, and tells it.
    fn look(&mut self) {
        let now = Instant::now();
        let waited = self
            .link
            .as_ref()
            .is_some_and(|link| link.since.elapsed() >= RECALL_WITHIN);
        self.recall.given_up |= waited;
        let mut events = self.seen.look(&self.config);
        if self.recall.is_complete() && *self.config.table.known().borrow() {
            let found =
                self.survey
                    .observe(&self.config.table.snapshot(), &self.config.catalogue, now);
            events.extend(found.events);
            self.strangers
                .extend(found.strangers.into_iter().map(|meter| Announcement {
                    meter: Arc::new(meter),
                    news: News::Removed,
                }));
        }
        let events = events.into_iter().map(|event| self.event("event", &event));
        let messages: Vec<_> = events.chain(self.log_lines()).collect();
        self.send(messages);
        self.clear_strangers();
        self.tell();
    }

    /// One that finds no room is tried again.
    fn clear_strangers(&mut self) {
        let strangers = std::mem::take(&mut self.strangers);
        if !strangers.is_empty()
            && self
                .config
                .announce
                .try_send(Announce(strangers.clone()))
                .is_err()
        {
            self.strangers = strangers;
        }
    }

    /// Tells of meters what is due, as far as the window allows.
    fn tell(&mut self) {
        if !self.recall.is_complete() {
            return;
        }
        while let Some(link) = &self.link {
            let on_their_way = usize::try_from(link.sent - link.acknowledged).unwrap_or(WINDOW);
            let room = WINDOW.saturating_sub(on_their_way);
            if room == 0 {
                return;
            }
            let (mut messages, sent) = (Vec::new(), link.sent);
            let mut done = self
                .former
                .clear(self.survey.ids(), room, sent, &mut messages);
            // In this order: while the information is the earlier run's, a third one finds what this one has not cleared.
            if done {
                if std::mem::take(&mut self.info_due) {
                    let info = self.info().to_string();
                    messages.push(retained(self.config.base.bridge(INFO), info));
                }
                let (room, sent) = (
                    room.saturating_sub(messages.len()),
                    sent + messages.len() as u64,
                );
                done = self.survey.tell(room, sent, Instant::now(), &mut messages);
            }
            self.send(messages);
            if done {
                return;
            }
        }
    }

    fn send(&mut self, mut messages: Vec<Outgoing>) {
        if let Some(link) = &mut self.link {
            link.sent += messages.len() as u64;
            self.uplink.send(&mut messages);
        }
    }

    fn acknowledged(&mut self, count: usize) {
        if let Some(link) = &mut self.link {
            link.acknowledged += count as u64;
            self.survey.acknowledged(link.acknowledged);
            self.former.acknowledged(link.acknowledged);
        }
        self.stop_if_answered();
        self.tell();
    }

    fn event(&self, topic: &str, event: &serde_json::Value) -> Outgoing {
        Outgoing {
            topic: self.config.base.bridge(topic).into(),
            payload: event.to_string().into_bytes(),
            qos: QoS::AtLeastOnce,
            retained: false,
        }
    }

    /// What was logged since the last time. While the broker is away nobody hears it: the log has it.
    fn log_lines(&self) -> Vec<Outgoing> {
        let (lines, missed) = self.config.feed.take();
        let more = (missed > 0).then(|| Line {
            level: LogLevel::Warning,
            message: format!("{missed} messages of the log are left out here"),
        });
        let lines = lines.into_iter().chain(more);
        lines
            .map(|line| self.event("logging", &json!(line)))
            .collect()
    }
}

impl Actor for Bridge {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.config.feed.open();
        // What happens from here on is an event.
        self.seen.look(&self.config);
        let session = self.config.session(self.home_assistant.as_ref());
        let Config { turn, log, .. } = &self.config;
        self.uplink.start(session, turn, log.clone(), ctx);
        ctx.run_interval_at(tick::next(TICK), TICK, |bridge, _| {
            bridge.uplink.watch();
            bridge.look();
        });
    }
}

impl Supervised for Bridge {}

impl StreamHandler<VecDeque<Event>> for Bridge {
    fn handle(&mut self, events: VecDeque<Event>, ctx: &mut Self::Context) {
        for event in events {
            match event {
                Event::Connected(connection) => self.connected(connection),
                Event::Disconnected { .. } => self.disconnected(),
                Event::Acknowledged(count) => self.acknowledged(count),
                Event::Message(message) => self.hear(message, ctx),
                Event::Listening => info!(self.config.log, "requests are heard"),
                // Logged by the session.
                Event::SubscriptionRefused { .. } => {}
                Event::Closed => debug!(self.config.log, "no requests are heard any more"),
            }
        }
    }

    fn finished(&mut self, ctx: &mut Self::Context) {
        self.monitor.fail(ctx, "the MQTT session ended");
    }
}

/// The name in logs and the client id.
const ACTOR: &str = "bridge";

/// How often is looked what has changed.
const TICK: Duration = Duration::from_secs(1);

/// How long the broker may take to send what it keeps of an earlier run, if it does.
const RECALL_WITHIN: Duration = Duration::from_secs(2);

/// An `offline` of ours is corrected at most so often, lest two that disagree flood the broker.
const CORRECTION_GAP: Duration = Duration::from_secs(1);

/// Messages on their way at once.
const WINDOW: usize = 100;

/// The last will.
fn offline(base: &BaseTopic) -> Outgoing {
    retained(base.bridge(STATE), json!({"state": "offline"}).to_string())
}

fn retained(topic: String, payload: String) -> Outgoing {
    Outgoing {
        topic: topic.into(),
        payload: payload.into_bytes(),
        qos: QoS::AtLeastOnce,
        retained: true,
    }
}
