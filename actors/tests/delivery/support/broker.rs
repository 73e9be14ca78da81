//! A real mosquitto on a free port of the loopback address.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

use tempfile::TempDir;

use super::{free_port, wait_for};

const MOSQUITTO: &str = "/usr/sbin/mosquitto";

/// Runs until it is dropped.
pub struct Broker {
    port: u16,
    settings: String,
    folder: TempDir,
    process: Option<Child>,
}

impl Broker {
    /// A broker that admits everybody.
    pub fn start() -> Self {
        Self::with_settings(|_| "allow_anonymous true\n".to_owned())
    }

    /// A broker with these lines of `mosquitto.conf` behind the listener's. They may name files in the broker's folder.
    pub fn with_settings(settings: impl FnOnce(&Path) -> String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path());
        let mut broker = Self {
            port: free_port(),
            settings,
            folder,
            process: None,
        };
        // Another test may draw the same port before mosquitto has it.
        while !broker.try_start() {
            broker.port = free_port();
        }
        broker
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    /// Kills it as a power cut would.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Starts it again on the same port. It remembers nothing.
    pub fn resume(&mut self) {
        wait_for("the port to be free again", || {
            self.try_start().then_some(())
        });
    }

    /// Tells whether it got its port.
    fn try_start(&mut self) -> bool {
        let configuration = self.folder.path().join("mosquitto.conf");
        let listener = format!(
            "user root\nmax_queued_messages 0\nlistener {} 127.0.0.1\n",
            self.port
        );
        fs::write(&configuration, listener + &self.settings).unwrap();
        let said = self.folder.path().join("output");
        let output = fs::File::create(&said).unwrap();
        let process = Command::new(MOSQUITTO)
            .arg("-v")
            .arg("-c")
            .arg(&configuration)
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("the tests need {MOSQUITTO} (Debian package mosquitto): {error}")
            });
        let process = self.process.insert(process);
        // Who listens at the port may be somebody else.
        wait_for("the broker to run or to end", || {
            let ended = process.try_wait().unwrap().is_some();
            let runs = fs::read_to_string(&said).unwrap().contains(" running");
            (ended || runs).then_some(!ended)
        })
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let output = fs::read_to_string(self.folder.path().join("output"));
            println!("the broker said:\n{}", output.unwrap_or_default());
        }
    }
}

/// A broker that grants subscriptions at its pleasure. mosquitto 2.0 grants every one, and only delivers nothing.
pub struct Picky {
    port: u16,
    permits: Arc<AtomicBool>,
}

impl Picky {
    /// Refuses subscriptions to `forbidden`.
    pub fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let permits: Arc<AtomicBool> = Arc::default();
        let shared = Arc::clone(&permits);
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let permits = Arc::clone(&shared);
                thread::spawn(move || serve(connection, &permits));
            }
        });
        Self { port, permits }
    }

    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    /// From now on it grants everything.
    pub fn permit(&self) {
        self.permits.store(true, SeqCst);
    }
}

/// MQTT 3.1.1: answers CONNECT, SUBSCRIBE and PINGREQ. Packets are short, so their length takes one byte.
fn serve(mut connection: TcpStream, permits: &AtomicBool) -> Option<()> {
    loop {
        let mut header = [0; 2];
        connection.read_exact(&mut header).ok()?;
        let mut body = vec![0; usize::from(header[1])];
        connection.read_exact(&mut body).ok()?;
        let answer = match header[0] >> 4 {
            1 => vec![0x20, 2, 0, 0],
            8 => {
                let forbidden = String::from_utf8_lossy(&body).contains("forbidden");
                let refused = forbidden && !permits.load(SeqCst);
                vec![0x90, 3, body[0], body[1], if refused { 0x80 } else { 1 }]
            }
            12 => vec![0xD0, 0],
            _ => continue,
        };
        connection.write_all(&answer).ok()?;
    }
}
