//! Meters: the set of monitored meters. Receives `ApplySet` and `Restore`; starts, keeps, re-keys and stops one `MeterHandler` per meter, tells the
//! Dispatcher the routes and the Publisher which channels to announce.
//!
//! Owns the meter table and the handlers; both outlive it, so that its own restart disturbs no meter. Ends only by a bug.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix::prelude::*;
use slog::{Logger, debug, info, warn};
use tokio::sync::watch;
use wmbus::{Address, IdentificationNumber};

use crate::dispatcher::Routes;
use crate::faults;
use crate::forward::Forward;
use crate::heard::Heard;
use crate::meter::{Meter, MeterId};
use crate::meter_handler::{self, MeterHandler};
use crate::publisher::{Announce, Announcement, News, Publish};
use crate::set_message::{Afterthoughts, Doubt, SetMessage, SetReport};
use crate::sighting::Sighting;
use crate::store::disk::{DiskStore, MetersSource, StoredMeter};
use crate::store::meter_table::{MeterMap, MeterTable};
use crate::supervision::{Child, ChildSpec, Handle, Monitor, Root, supervise};
use crate::{tick, tree};

/// What every life of Meters is made from.
#[derive(Clone)]
pub struct Config {
    /// The monitored meters.
    pub table: Arc<MeterTable>,
    /// Keeps them on disk.
    pub store: Arc<DiskStore>,
    /// The others on the air.
    pub heard: Arc<Heard>,
    /// Where the Commander finds what is to be said about the set later.
    pub afterthoughts: Afterthoughts,
    /// Their handlers.
    pub handlers: Handlers,
    /// Where the Dispatcher reads the routes.
    pub routes: Arc<watch::Sender<Routes>>,
    /// The way to the Publisher for announcements.
    pub announce: Forward<Announce>,
    /// The way to the Publisher for the handlers' readings; each handler gets a branch of it.
    pub publish: Forward<Publish>,
    /// What all handlers have in common.
    pub shared: Arc<meter_handler::Shared>,
    /// The root of the supervision tree.
    pub root: Arc<Root>,
    /// Where to log.
    pub log: Logger,
}

/// The running handlers. Shared by all lives of Meters.
#[derive(Clone, Default)]
pub struct Handlers(Arc<Mutex<HashMap<MeterId, RunningHandler>>>);

impl Handlers {
    /// Stops all of them at once, each after it has handled what waits for it.
    pub async fn stop(&self) {
        let running = std::mem::take(&mut *self.lock());
        let stops: Vec<_> = running
            .into_values()
            .map(|handler| actix_rt::spawn(handler.handle.stop()))
            .collect();
        for stop in stops {
            // A stop that fails was logged by the supervisor; the others go on.
            let _ = stop.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<MeterId, RunningHandler>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A meter with its handler.
struct RunningHandler {
    meter: Arc<Meter>,
    handle: Handle,
    /// The only copy of its address, shared with the Dispatcher.
    addr: Arc<Addr<MeterHandler>>,
}

/// See the [module documentation](self).
pub struct Meters {
    config: Config,
    monitor: Arc<Monitor>,
}

/// Monitors these meters too; one that is monitored already gets what the message says of it. Answers per entry.
#[derive(Message)]
#[rtype(result = "SetReport")]
pub struct AddMeters(pub SetMessage);

/// Monitors these meters no longer. Answers how many of them were monitored.
#[derive(Message)]
#[rtype(result = "usize")]
pub struct RemoveMeters(pub Vec<MeterId>);

/// Makes the given set the set of monitored meters. Answers per entry.
#[derive(Message)]
#[rtype(result = "SetReport")]
pub struct ApplySet(pub SetMessage);

/// Monitors the meters that an earlier run of the program has stored. If a set message came first, only what was remembered of its meters
/// is taken up.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Restore(pub Vec<StoredMeter>);

impl Meters {
    /// A new life.
    pub fn new(config: Config, monitor: &Arc<Monitor>) -> Self {
        Self {
            config,
            monitor: Arc::clone(monitor),
        }
    }

    /// What was heard of the new meters before they were monitored is theirs.
    fn take_sightings(&self, meters: &MeterMap) {
        for (id, meter) in meters {
            let mut memory = meter.memory();
            memory.doubts.clear();
            memory.judged = None;
            if memory.sighting.is_some() {
                continue;
            }
            for sighting in self.config.heard.take(*id) {
                let before = memory.sighting.replace(sighting);
                memory.other_type = before.map(|before| before.address);
            }
        }
    }

    /// What is doubtful about each of these meters and was not told before, in their order.
    fn new_doubts<'a>(
        &self,
        meters: impl Iterator<Item = (MeterId, &'a Arc<Meter>)>,
    ) -> Vec<Option<String>> {
        let profiles = self.config.shared.profiles.profiles();
        let heard: Vec<_> = self
            .config
            .heard
            .list()
            .iter()
            .map(|sighting| sighting.address)
            .collect();
        let heard = Numbers::of(heard);
        meters
            .map(|(id, meter)| {
                let mut memory = meter.memory();
                let doubts = match memory.sighting {
                    None => vec![Doubt::about_manufacturer(id, heard.with(id))],
                    Some(Sighting { address, .. }) if memory.judged != Some(address) => {
                        memory.judged = Some(address);
                        let wanted = profiles.find_by_key(id.manufacturer, &meter.device_key);
                        vec![
                            wanted
                                .and_then(|wanted| Doubt::about_model(wanted, address, &profiles)),
                            memory.other_type.map(|other| Doubt::Types(other, address)),
                        ]
                    }
                    Some(_) => Vec::new(),
                };
                let new: Vec<_> = doubts
                    .into_iter()
                    .flatten()
                    .filter(|doubt| memory.doubt(doubt))
                    .map(|doubt| doubt.to_string())
                    .collect();
                (!new.is_empty()).then(|| new.join("; "))
            })
            .collect()
    }

    /// Tells what has turned out to be doubtful since the set message.
    fn look_for_doubts(&self) {
        let meters = self.config.table.snapshot();
        if meters.is_empty() {
            return;
        }
        let doubts = self.new_doubts(meters.iter().map(|(id, meter)| (*id, meter)));
        let names = meters.values().map(|meter| Arc::clone(&meter.name));
        let warnings: Vec<_> = names
            .zip(doubts)
            .filter_map(|(name, doubt)| Some((name, doubt?)))
            .collect();
        for (name, warning) in &warnings {
            warn!(self.config.log, "a monitored meter does not fit what is heard"; "meter" => %name, "reason" => "doubtful meter", "error" => warning);
        }
        if !warnings.is_empty() {
            self.config.afterthoughts.add(SetReport::later(warnings));
        }
    }

    /// Makes these the monitored meters.
    fn adopt(&self, meters: MeterMap, ctx: &mut Context<Self>) {
        let mut announcements = self.farewells(&meters);
        announcements.extend(self.announcements(&meters));
        self.config.table.replace(meters);
        self.adjust_handlers();
        if !announcements.is_empty() {
            self.config
                .announce
                .send(Announce(announcements), &self.monitor, ctx);
        }
    }

    /// Starts what has no handler, stops what has no meter, and publishes the routes.
    fn adjust_handlers(&self) {
        let meters = self.config.table.snapshot();
        let mut handlers = self.config.handlers.lock();
        handlers.retain(|id, running| {
            // Dropping a handler asks it to stop.
            meters
                .get(id)
                .is_some_and(|meter| Arc::ptr_eq(meter, &running.meter))
        });
        for (id, meter) in &meters {
            handlers
                .entry(*id)
                .or_insert_with(|| self.start_handler(meter));
        }
        let routes = handlers
            .iter()
            .map(|(id, running)| (*id, Arc::clone(&running.addr)))
            .collect();
        self.config.routes.send_replace(Arc::new(routes));
    }

    fn start_handler(&self, meter: &Arc<Meter>) -> RunningHandler {
        let config = meter_handler::Config {
            meter: Arc::clone(meter),
            shared: Arc::clone(&self.config.shared),
            next: self.config.publish.branch(),
        };
        let spec = ChildSpec {
            role: &tree::METER_HANDLER,
            instance: Some(meter.name.clone()),
        };
        let Child { addr, handle } = supervise(&self.config.root, spec, move |monitor| {
            MeterHandler::new(&config, monitor)
        });
        RunningHandler {
            meter: Arc::clone(meter),
            handle,
            addr: Arc::new(addr),
        }
    }

    /// The meters of the new set: those that stay keep all that is remembered of them.
    ///
    /// With their ids in the order of the message.
    fn merge(&self, set: SetMessage) -> (MeterMap, Vec<MeterId>, SetReport) {
        let present = self.config.table.snapshot();
        let (entries, report) = set.into_parts();
        let ids = entries.iter().map(|entry| entry.id).collect();
        let meters = entries
            .into_iter()
            .map(|entry| {
                let meter = match present.get(&entry.id) {
                    Some(meter)
                        if *meter.name == entry.name && meter.device_key == entry.device_key =>
                    {
                        meter.set_key(entry.key);
                        Arc::clone(meter)
                    }
                    _ => Arc::new(Meter::new(entry.name, entry.device_key, entry.key)),
                };
                (entry.id, meter)
            })
            .collect();
        (meters, ids, report)
    }

    /// The announcements of the meters whose channels are known before they are heard; the others follow with their first reading.
    fn announcements(&self, meters: &MeterMap) -> Vec<Announcement> {
        let profiles = self.config.shared.profiles.profiles();
        meters
            .iter()
            .filter_map(|(id, meter)| {
                let profile = profiles.find_by_key(id.manufacturer, &meter.device_key);
                meter.memory().announced = profile.cloned();
                Some(Announcement {
                    meter: Arc::clone(&meter.name),
                    news: News::Introduced(Arc::clone(profile?)),
                })
            })
            .collect()
    }

    /// The announcements of the meters that are not in the new set.
    fn farewells(&self, meters: &MeterMap) -> Vec<Announcement> {
        let present = self.config.table.snapshot();
        present
            .iter()
            .filter(|(id, _)| !meters.contains_key(id))
            .map(|(_, meter)| Announcement {
                meter: Arc::clone(&meter.name),
                news: News::Removed,
            })
            .collect()
    }
}

impl Actor for Meters {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.adjust_handlers();
        self.config.announce.resume(&self.monitor, ctx);
        ctx.run_interval_at(tick::next(LOOK_EVERY), LOOK_EVERY, |meters, _| {
            meters.look_for_doubts()
        });
    }
}

impl Supervised for Meters {}

impl Handler<ApplySet> for Meters {
    type Result = MessageResult<ApplySet>;

    fn handle(&mut self, ApplySet(set): ApplySet, ctx: &mut Self::Context) -> Self::Result {
        faults::hit("meters", "");
        let (meters, ids, mut report) = self.merge(set);
        self.take_sightings(&meters);
        let accepted = ids.iter().filter_map(|id| Some((*id, meters.get(id)?)));
        report.warn(self.new_doubts(accepted));
        debug!(self.config.log, "set of meters applied"; "meters" => meters.len(), "refused" => report.refused());
        self.adopt(meters, ctx);
        self.config.store.meters_changed();
        MessageResult(report)
    }
}

impl Handler<AddMeters> for Meters {
    type Result = MessageResult<AddMeters>;

    fn handle(&mut self, AddMeters(set): AddMeters, ctx: &mut Self::Context) -> Self::Result {
        let (added, _, report) = self.merge(set);
        debug!(self.config.log, "meters added"; "meters" => added.len(), "refused" => report.refused());
        let mut meters = self.config.table.snapshot();
        meters.extend(added);
        self.adopt(meters, ctx);
        self.config.store.meters_changed();
        MessageResult(report)
    }
}

impl Handler<RemoveMeters> for Meters {
    type Result = MessageResult<RemoveMeters>;

    fn handle(&mut self, RemoveMeters(ids): RemoveMeters, ctx: &mut Self::Context) -> Self::Result {
        let mut meters = self.config.table.snapshot();
        let before = meters.len();
        meters.retain(|id, _| !ids.contains(id));
        let removed = before - meters.len();
        debug!(self.config.log, "meters removed"; "meters" => removed);
        if removed > 0 {
            self.adopt(meters, ctx);
            self.config.store.meters_changed();
        }
        MessageResult(removed)
    }
}

impl Handler<Restore> for Meters {
    type Result = ();

    fn handle(&mut self, Restore(stored): Restore, ctx: &mut Self::Context) {
        let present = self.config.table.snapshot();
        let mut meters = MeterMap::new();
        let mut nameless = 0;
        for StoredMeter {
            name,
            device_key,
            key,
            memory,
        } in stored
        {
            let Some(id) = name.id() else {
                nameless += 1;
                continue;
            };
            let meter = match present.get(&id) {
                Some(meter) if *meter.name == name && meter.device_key == device_key => {
                    Arc::clone(meter)
                }
                _ => Arc::new(Meter::new(name, device_key, key)),
            };
            if let Some(Err(error)) = memory.map(|memory| meter.remember(&memory)) {
                warn!(self.config.log, "a meter begins anew"; "meter" => %meter.name, "reason" => "memory", "error" => %error);
            }
            meters.insert(id, meter);
        }
        if nameless > 0 {
            warn!(self.config.log, "stored meters whose names make no sense are left out"; "meters" => nameless);
        }
        if !self.config.table.are_known() {
            info!(self.config.log, "the meters of the last run are monitored"; "meters" => meters.len());
            self.adopt(meters, ctx);
        }
    }
}

/// The addresses on the air by their numbers.
struct Numbers(HashMap<IdentificationNumber, Vec<Address>>);

impl Numbers {
    fn of(addresses: Vec<Address>) -> Self {
        let mut numbers = HashMap::<_, Vec<_>>::new();
        for address in addresses {
            numbers
                .entry(address.identification)
                .or_default()
                .push(address);
        }
        Self(numbers)
    }

    fn with(&self, id: MeterId) -> &[Address] {
        self.0.get(&id.identification).map_or(&[], Vec::as_slice)
    }
}

/// How often is looked for what does not fit.
const LOOK_EVERY: Duration = Duration::from_secs(5);
