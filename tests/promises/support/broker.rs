//! A real mosquitto on a free port of the loopback address.

use std::fs;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::{free_port, wait_for};

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
        Self::with_settings("allow_anonymous true\n")
    }

    /// A broker with these lines of `mosquitto.conf` behind the listener's.
    pub fn with_settings(settings: &str) -> Self {
        let mut broker = Self {
            port: free_port(),
            settings: settings.to_owned(),
            folder: tempfile::tempdir().unwrap(),
            process: None,
        };
        broker.resume();
        broker
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    /// Kills the broker as a power cut would.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Starts it again on the same port. It remembers nothing.
    pub fn resume(&mut self) {
        let configuration = self.folder.path().join("mosquitto.conf");
        let listener = format!(
            "listener {} 127.0.0.1\nmax_queued_messages 0\nuser root\n",
            self.port
        );
        fs::write(&configuration, listener + &self.settings).unwrap();
        let process = Command::new(MOSQUITTO)
            .arg("-c")
            .arg(&configuration)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("the tests need {MOSQUITTO} (Debian package mosquitto): {error}")
            });
        self.process = Some(process);
        wait_for("the broker to listen", || {
            TcpStream::connect(("127.0.0.1", self.port)).ok()
        });
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}

const MOSQUITTO: &str = "/usr/sbin/mosquitto";
