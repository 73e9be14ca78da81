//! What a supervised child costs, counted by the allocator: a gateway has one for each meter, and there may be 100,000.
//!
//! Its own test program, because the allocator counts everything that the process allocates.
#![allow(
    unsafe_code,
    reason = "an allocator that counts can only be written so"
)]

use std::alloc::{GlobalAlloc, Layout, System as SystemAllocator};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use actix::prelude::*;
use omnigate_actors::supervision::{Child, ChildSpec, Handle, Monitor, Root, State, supervise};
use omnigate_actors::tree;

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

#[test]
fn a_meter_handler_costs_at_most_one_and_a_half_kilobytes() {
    const CHILDREN: usize = 10_000;
    System::new().block_on(async {
        let root = Root::new(slog::Logger::root(slog::Discard, slog::o!()), |_| {});
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
