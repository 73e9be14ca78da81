//! A door between the gateway and its broker, which can be shut: the gateway's connections break and new ones are refused, while the
//! observer stays connected and sees the first message after it opens.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use super::broker::Broker;

/// Forwards every connection to the broker while it is open.
pub struct Door {
    port: u16,
    passing: Arc<Mutex<Passing>>,
}

#[derive(Default)]
struct Passing {
    shut: bool,
    connections: Vec<TcpStream>,
}

impl Door {
    /// An open door to this broker.
    pub fn to(broker: &Broker) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let passing = Arc::<Mutex<Passing>>::default();
        let (shared, broker_port) = (Arc::clone(&passing), broker.port());
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let mut passing = shared.lock().unwrap();
                if passing.shut {
                    continue;
                }
                if let Ok(far) = TcpStream::connect(("127.0.0.1", broker_port)) {
                    for (from, to) in [(&near, &far), (&far, &near)] {
                        let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                        thread::spawn(move || pump(from, to));
                    }
                    passing.connections.extend([near, far]);
                }
            }
        });
        Self { port, passing }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    /// Breaks what passes and refuses what comes.
    pub fn shut(&self) {
        let mut passing = self.passing.lock().unwrap();
        passing.shut = true;
        for connection in passing.connections.drain(..) {
            connection.shutdown(Shutdown::Both).ok();
        }
    }

    /// Lets everybody pass again.
    pub fn open(&self) {
        self.passing.lock().unwrap().shut = false;
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream) {
    io::copy(&mut from, &mut to).ok();
    from.shutdown(Shutdown::Both).ok();
    to.shutdown(Shutdown::Both).ok();
}
