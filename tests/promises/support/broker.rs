//! A real mosquitto on a free port of the loopback address.

use std::fs;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::{free_port, wait_for};

/// Runs until it is dropped.
pub struct Broker {
    port: u16,
    configuration: String,
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
        Self::configured(|port| {
            format!("listener {port} 127.0.0.1\nmax_queued_messages 0\nuser root\n{settings}")
        })
    }

    /// A broker with this `mosquitto.conf` for a free port.
    pub fn configured(configuration: impl Fn(u16) -> String) -> Self {
        // Between asking for a port and using it somebody else may take it.
        wait_for("a broker on a port of its own", || {
            let port = free_port();
            let mut broker = Self {
                port,
                configuration: configuration(port),
                folder: tempfile::tempdir().unwrap(),
                process: None,
            };
            broker.launch();
            broker.has_its_port().then_some(broker)
        })
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
        self.launch();
        wait_for("the broker to listen", || {
            TcpStream::connect(("127.0.0.1", self.port)).ok()
        });
    }

    fn launch(&mut self) {
        let configuration = self.folder.path().join("mosquitto.conf");
        fs::write(&configuration, &self.configuration).unwrap();
        let output = fs::File::create(self.folder.path().join(OUTPUT)).unwrap();
        let process = Command::new(MOSQUITTO)
            .arg("-v")
            .arg("-c")
            .arg(&configuration)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("the tests need {MOSQUITTO} (Debian package mosquitto): {error}")
            });
        self.process = Some(process);
    }

    /// Waits until it says that it runs, or has ended because its port is somebody else's.
    fn has_its_port(&mut self) -> bool {
        wait_for("the broker to listen", || {
            let ended = self.process.as_mut()?.try_wait().unwrap();
            let output = self.output();
            if output.contains(" running\n") {
                return Some(true);
            }
            assert!(
                ended.is_none() || output.contains("Address already in use"),
                "the broker has ended"
            );
            ended.map(|_| false)
        })
    }

    fn output(&self) -> String {
        fs::read_to_string(self.folder.path().join(OUTPUT)).unwrap_or_default()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("the broker said:\n{}", self.output());
        }
    }
}

const OUTPUT: &str = "output";

const MOSQUITTO: &str = "/usr/sbin/mosquitto";
