//! What a supervised child costs, counted by the allocator: a gateway has one for each meter, and there may be 100,000.
//!
//! Its own test program, because the allocator counts everything that the process allocates.
#![allow(
    unsafe_code,
    reason = "an allocator that counts can only be written so"
)]
#![allow(clippy::unwrap_used, reason = "a test may be blunt")]

use std::alloc::{GlobalAlloc, Layout, System as SystemAllocator};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use actix::prelude::*;
use jiff::Timestamp;
use omnigate_actors::counters::Counters;
use omnigate_actors::forward::Forward;
use omnigate_actors::meter::{Meter, MeterName};
use omnigate_actors::meter_handler::{self, Decode, MeterHandler};
use omnigate_actors::parser::CheckedTelegram;
use omnigate_actors::profiles::InForce;
use omnigate_actors::publisher::Publish;
use omnigate_actors::raw_telegram::RawTelegram;
use omnigate_actors::rejects::Rejects;
use omnigate_actors::supervision::{Child, ChildSpec, Handle, Monitor, Root, State, supervise};
use omnigate_actors::tree;
use slog::{Discard, Logger, o};
use wmbus::ell::{Header, SessionNumber};
use wmbus::telegram::{AccessNumber, Draft};
use wmbus::{Address, Key, Medium, MeterKey};

struct Counting;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

/// As glibc's allocator rounds: eight bytes more, to a multiple of sixteen, at least 32.
const fn cost(layout: Layout) -> usize {
    let chunk = (layout.size() + 8).next_multiple_of(16);
    if chunk < 32 { 32 } else { chunk }
}

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(cost(layout), Relaxed);
        unsafe { SystemAllocator.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(cost(layout), Relaxed);
        unsafe { SystemAllocator.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// An actor without any state of its own.
struct Nothing;

impl Actor for Nothing {
    type Context = Context<Self>;
}

impl Supervised for Nothing {}

struct Telegram;

impl Message for Telegram {
    type Result = ();
}

impl Handler<Telegram> for Nothing {
    type Result = ();

    fn handle(&mut self, _: Telegram, _: &mut Context<Self>) {}
}

/// Counts the readings that the handlers give.
struct Door(Arc<AtomicUsize>);

impl Actor for Door {
    type Context = Context<Self>;
}

impl Handler<Publish> for Door {
    type Result = ();

    fn handle(&mut self, Publish(readings): Publish, _: &mut Context<Self>) {
        self.0.fetch_add(readings.len(), Relaxed);
    }
}

const CHILDREN: usize = 10_000;

/// One after the other: what one allocates, the other would count.
#[test]
fn a_meter_handler_costs_at_most_one_and_a_half_kilobytes() {
    what_supervision_costs();
    what_a_meter_costs();
}

fn what_a_meter_costs() {
    System::new().block_on(async {
        let arrived = Arc::new(AtomicUsize::new(0));
        let publish = Forward::to(Door(Arc::clone(&arrived)).start());
        let log = Logger::root(Discard, o!());
        let root = Root::new(log.clone(), |_| {});
        let shared = Arc::new(meter_handler::Shared {
            profiles: Arc::new(InForce::default()),
            live: true,
            counters: Arc::new(Counters::new()),
            rejects: Rejects::new(10),
            log,
        });
        let key = || Key::from_bytes([7; 16]);

        let before = ALLOCATED.load(Relaxed);
        let meters: Vec<_> = (0..CHILDREN)
            .map(|number| {
                let name = MeterName {
                    manufacturer_key: "kam".to_owned(),
                    device_id: format!("{number:08}"),
                };
                Arc::new(Meter::new(name, "OmniPower1".to_owned(), Some(key())))
            })
            .collect();
        let meter = (ALLOCATED.load(Relaxed) - before) / CHILDREN;

        let before = ALLOCATED.load(Relaxed);
        let handlers: Vec<(Handle, Arc<Addr<MeterHandler>>)> = meters
            .iter()
            .map(|meter| {
                let config = meter_handler::Config {
                    meter: Arc::clone(meter),
                    shared: Arc::clone(&shared),
                    next: publish.branch(),
                };
                let spec = ChildSpec {
                    role: &tree::METER_HANDLER,
                    instance: Some(meter.name.clone()),
                };
                let Child { addr, handle } = supervise(&root, spec, move |monitor| {
                    MeterHandler::new(&config, monitor)
                });
                (handle, Arc::new(addr))
            })
            .collect();
        // What it keeps when it has worked counts too.
        for (number, (_, addr)) in handlers.iter().enumerate() {
            addr.try_send(Decode(telegram(number, &(&key()).into())))
                .unwrap();
        }
        while arrived.load(Relaxed) < CHILDREN {
            tokio::task::yield_now().await;
        }
        let handler = (ALLOCATED.load(Relaxed) - before) / CHILDREN;
        println!("a meter: {meter} B, its handler with its address: {handler} B");
        assert!(meter <= 768, "{meter}");
        assert!(handler <= 1500, "{handler}");
    });
}

/// A full telegram of an OmniPower.
fn telegram(number: usize, key: &MeterKey) -> CheckedTelegram {
    let address = Address {
        manufacturer: "KAM".parse().unwrap(),
        identification: format!("{number:08}").parse().unwrap(),
        version: 0x30,
        medium: Medium(2),
    };
    let payload = [
        0x04, 0x04, 1, 0, 0, 0, 0x04, 0x84, 0x3C, 0, 0, 0, 0, 0x04, 0x2B, 3, 0, 0, 0, 0x04, 0xAB,
        0x3C, 0, 0, 0, 0,
    ];
    let draft = Draft {
        ell: Some(Header {
            communication_control: 0x20,
            access_number: AccessNumber(1),
            receiver: None,
            session: SessionNumber::new(14_448, 1),
        }),
        ..Draft::new(address, 0x78, &payload)
    };
    let raw = RawTelegram::radio(draft.encode(Some(key)).unwrap(), Timestamp::now(), None);
    CheckedTelegram::check(raw).unwrap()
}

fn what_supervision_costs() {
    System::new().block_on(async {
        let root = Root::new(Logger::root(Discard, o!()), |_| {});
        let name: Arc<String> = Arc::new("kam-32666857".to_owned());
        let start = || {
            let (spec, name) = (
                ChildSpec {
                    role: &tree::METER_HANDLER,
                    instance: Some(Arc::clone(&name) as _),
                },
                Arc::clone(&name),
            );
            supervise(&root, spec, move |_: &Arc<Monitor>| {
                // What a real one keeps to make itself anew: one shared pointer.
                let _ = &name;
                Nothing
            })
        };
        let settle = || async {
            for _ in 0..CHILDREN / 10 {
                tokio::task::yield_now().await;
            }
        };
        let mut children: Vec<Child<Nothing>> = Vec::with_capacity(CHILDREN);

        let before = ALLOCATED.load(Relaxed);
        children.extend((0..CHILDREN).map(|_| start()));
        settle().await;
        assert!(
            children
                .iter()
                .all(|child| child.handle.monitor.state() == State::Running)
        );
        let child = (ALLOCATED.load(Relaxed) - before) / CHILDREN + size_of::<Child<Nothing>>();

        // The address becomes the way to it in the Dispatcher's table; nothing else keeps one.
        let before = ALLOCATED.load(Relaxed);
        let (routes, handles): (Vec<Recipient<Telegram>>, Vec<Handle>) = children
            .into_iter()
            .map(|child| (child.addr.recipient(), child.handle))
            .unzip();
        let supervised =
            child + (ALLOCATED.load(Relaxed) - before) / CHILDREN - size_of::<Child<Nothing>>();

        // The same actor without supervision, its address and its route kept in the same way.
        let before = ALLOCATED.load(Relaxed);
        let bare: Vec<Recipient<Telegram>> =
            (0..CHILDREN).map(|_| Nothing.start().recipient()).collect();
        settle().await;
        let plain = (ALLOCATED.load(Relaxed) - before) / CHILDREN;

        println!(
            "an actor without state, its route included: plain {plain} B, supervised {supervised} B"
        );
        assert!(
            supervised <= 1280,
            "at least 256 B must be left for the actor's own state"
        );
        drop(bare);

        // And all of it comes back.
        drop(routes);
        let monitors: Vec<_> = handles
            .iter()
            .map(|handle| Arc::downgrade(&handle.monitor))
            .collect();
        drop(handles);
        settle().await;
        assert!(
            monitors.iter().all(|monitor| monitor.upgrade().is_none()),
            "no child is left behind"
        );
    });
}
