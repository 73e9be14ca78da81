//! A network between the gateway and its broker that fails on demand.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Forwards every connection to its port to the broker's, until it is told to do something else.
pub struct Network {
    port: u16,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// Nothing is forwarded in either direction, and nothing is closed.
    stalled: AtomicBool,
    /// What the broker sends is swallowed.
    mute: AtomicBool,
    /// New connections are closed at once.
    refusing: AtomicBool,
    /// Everything arrives so late, in milliseconds.
    late: AtomicU64,
    /// After so many further bytes all connections break.
    breaks_after: Mutex<Option<usize>>,
    connections: Mutex<Vec<TcpStream>>,
}

impl Network {
    pub fn to(broker_port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let state: Arc<State> = Arc::default();
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                if shared.refusing.load(SeqCst) {
                    continue;
                }
                let Ok(far) = TcpStream::connect(("127.0.0.1", broker_port)) else {
                    continue;
                };
                let mut connections = shared.connections.lock().unwrap();
                connections.push(near.try_clone().unwrap());
                connections.push(far.try_clone().unwrap());
                drop(connections);
                pump(&near, &far, &shared, false);
                pump(&far, &near, &shared, true);
            }
        });
        Self { port, state }
    }

    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    /// From now on nothing arrives, and nobody notices.
    pub fn stall(&self, stalled: bool) {
        self.state.stalled.store(stalled, SeqCst);
    }

    /// From now on what the broker says does not arrive, but what it hears does.
    pub fn mute(&self, mute: bool) {
        self.state.mute.store(mute, SeqCst);
    }

    /// From now on there are no new connections.
    pub fn refuse(&self, refusing: bool) {
        self.state.refusing.store(refusing, SeqCst);
    }

    /// From now on everything arrives so late.
    pub fn delay(&self, by: Duration) {
        self.state.late.store(by.as_millis() as u64, SeqCst);
    }

    /// Breaks all connections.
    pub fn cut(&self) {
        self.state.cut();
    }

    /// Breaks all connections after so many further bytes, wherever that is in a packet.
    pub fn cut_after(&self, bytes: usize) {
        *self.state.breaks_after.lock().unwrap() = Some(bytes);
    }
}

impl State {
    fn cut(&self) {
        for connection in self.connections.lock().unwrap().drain(..) {
            connection.shutdown(Shutdown::Both).ok();
        }
    }

    /// How many of these bytes may pass; `None`: all.
    fn pass(&self, count: usize) -> Option<usize> {
        let mut left = self.breaks_after.lock().unwrap();
        let few = left.filter(|&few| few < count);
        *left = left.filter(|_| few.is_none()).map(|left| left - count);
        few
    }
}

fn pump(from: &TcpStream, to: &TcpStream, state: &Arc<State>, from_broker: bool) {
    let (mut from, mut to, state) = (
        from.try_clone().unwrap(),
        to.try_clone().unwrap(),
        Arc::clone(state),
    );
    thread::spawn(move || {
        let mut buffer = [0; 65_536];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            while state.stalled.load(SeqCst) {
                thread::sleep(Duration::from_millis(5));
            }
            if from_broker && state.mute.load(SeqCst) {
                continue;
            }
            thread::sleep(Duration::from_millis(state.late.load(SeqCst)));
            let passing = state.pass(count);
            if to.write_all(&buffer[..passing.unwrap_or(count)]).is_err() {
                break;
            }
            if passing.is_some() {
                state.cut();
            }
        }
        from.shutdown(Shutdown::Both).ok();
        to.shutdown(Shutdown::Both).ok();
    });
}
