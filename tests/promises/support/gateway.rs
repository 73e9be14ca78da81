//! The real program, started as an operator would.

use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::broker::Broker;
use super::door::Door;
use super::process::Process;
use super::wait_for;

/// The gateway's name in topics.
pub const GATEWAY: &str = "706462169";

/// Runs `omnigate run` until it is dropped.
pub struct Gateway {
    process: Process,
    folder: TempDir,
}

/// How to start the gateway.
pub struct Options {
    state_dir: Option<PathBuf>,
    driver: String,
    mqtt: String,
    outbox: String,
    page: String,
    profiles: Option<PathBuf>,
    log: String,
    sections: String,
    environment: Vec<(String, String)>,
    shell: Option<String>,
}

impl Options {
    /// A gateway at this broker that reads its telegrams from standard input.
    pub fn stdin(broker: &Broker) -> Self {
        Self::with_driver(broker, "source = \"stdin\"\n")
    }

    /// A gateway at this broker with a dongle at this path.
    pub fn dongle(broker: &Broker, path: &str) -> Self {
        Self::with_driver(broker, &format!("source = \"im871a\"\npath = \"{path}\"\n"))
    }

    /// A gateway at this broker that reads its telegrams from a file.
    pub fn file(broker: &Broker, path: &str) -> Self {
        Self::with_driver(broker, &format!("source = \"file\"\npath = \"{path}\"\n"))
    }

    /// A gateway at this broker that reads its telegrams from the FIFO of a driver daemon.
    pub fn fifo(broker: &Broker, path: &str) -> Self {
        Self::fifo_at(&broker.url(), path)
    }

    /// The same at the broker with this address.
    pub fn fifo_at(url: &str, path: &str) -> Self {
        Self::at(url, &format!("source = \"fifo\"\npath = \"{path}\"\n"))
    }

    /// A gateway that reads its telegrams from standard input and reaches its broker through a door.
    pub fn behind(door: &Door) -> Self {
        Self::stdin_at(&door.url())
    }

    /// A gateway with a dongle at this path that reaches its broker through a door.
    pub fn dongle_behind(door: &Door, path: &str) -> Self {
        Self::at(
            &door.url(),
            &format!("source = \"im871a\"\npath = \"{path}\"\n"),
        )
    }

    /// A gateway that reads its telegrams from standard input, at the broker with this address.
    pub fn stdin_at(url: &str) -> Self {
        Self::at(url, "source = \"stdin\"\n")
    }

    fn with_driver(broker: &Broker, driver: &str) -> Self {
        Self::at(&broker.url(), driver)
    }

    fn at(url: &str, driver: &str) -> Self {
        Self {
            state_dir: None,
            driver: driver.to_owned(),
            mqtt: format!("url = \"{url}\"\n"),
            outbox: String::new(),
            page: "enabled = false\n".to_owned(),
            profiles: None,
            log: "syslog = false\n".to_owned(),
            sections: String::new(),
            environment: Vec::new(),
            shell: None,
        }
    }

    /// With a further line in the section `[mqtt]`.
    pub fn mqtt(mut self, line: &str) -> Self {
        self.mqtt += line;
        self.mqtt += "\n";
        self
    }

    /// With further sections.
    pub fn sections(mut self, lines: &str) -> Self {
        self.sections += lines;
        self.sections += "\n";
        self
    }

    /// With a further line in the section `[outbox]`.
    pub fn outbox(mut self, line: &str) -> Self {
        self.outbox += line;
        self.outbox += "\n";
        self
    }

    /// With this directory of profiles.
    pub fn profiles(mut self, path: &Path) -> Self {
        self.profiles = Some(path.to_owned());
        self
    }

    /// With this folder for what must survive a restart; otherwise it has one of its own, which ends with it.
    pub fn state_dir(mut self, path: &Path) -> Self {
        self.state_dir = Some(path.to_owned());
        self
    }

    /// With the local page at this port of the loopback address.
    pub fn page(mut self, port: u16) -> Self {
        self.page = format!("listen = \"127.0.0.1:{port}\"\n");
        self
    }

    /// With the system's log at this socket.
    pub fn syslog(mut self, socket: &Path) -> Self {
        self.log = format!("syslog_socket = {socket:?}\n");
        self
    }

    /// With a variable in the environment.
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Started by a shell that does this first.
    pub fn in_shell(mut self, script: &str) -> Self {
        self.shell = Some(format!("{script}; exec \"$0\" \"$@\""));
        self
    }

    /// With faults injected, in the language of `OMNIGATE_FAULTS`.
    pub fn faults(self, faults: &str) -> Self {
        self.environment("OMNIGATE_FAULTS", faults)
    }

    pub fn start(self) -> Gateway {
        let (command, folder) = self.prepare();
        Gateway {
            process: Process::start(command),
            folder,
        }
    }

    /// What starts it, and the folder with its settings and what it keeps.
    pub fn prepare(self) -> (Command, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let directory = self
            .profiles
            .map(|path| format!("directory = \"{}\"\n", path.display()));
        let settings = format!(
            "[gateway]\nid = \"{GATEWAY}\"\nstate_dir = \"{}\"\n[driver]\n{}[mqtt]\n{}[outbox]\n{}[page]\n{}[profiles]\n{}{}[log]\nlevel = \"debug\"\n{}",
            self.state_dir.as_deref().unwrap_or(folder.path()).display(),
            self.driver,
            self.mqtt,
            self.outbox,
            self.page,
            directory.unwrap_or_default(),
            self.sections,
            self.log,
        );
        let path = folder.path().join(SETTINGS);
        std::fs::write(&path, settings).unwrap();
        let program = env!("CARGO_BIN_EXE_omnigate");
        let mut command = match self.shell {
            None => Command::new(program),
            Some(script) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &script, program]);
                shell
            }
        };
        command
            .arg("run")
            .arg("--config")
            .arg(&path)
            .envs(self.environment);
        (command, folder)
    }
}

impl Gateway {
    /// The folder with its settings and what it keeps.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its settings file.
    pub fn settings(&self) -> PathBuf {
        self.folder.path().join(SETTINGS)
    }

    /// Replaces a text in its settings file.
    pub fn edit_settings(&self, from: &str, to: &str) {
        let before = std::fs::read_to_string(self.settings()).unwrap();
        assert!(before.contains(from), "{before}");
        std::fs::write(self.settings(), before.replace(from, to)).unwrap();
    }
}

/// Waits until the gateway that keeps its state there has so many readings that the broker has not acknowledged.
pub fn wait_for_outbox(state_dir: &Path, readings: u64) {
    wait_for(&format!("{readings} readings in the outbox"), || {
        let status = omnigate::control::ask(state_dir, "status").ok()?;
        let count = |what: &str| status["outbox"][what].as_u64();
        (count("waiting")? + count("sent")? == readings).then_some(())
    });
}

const SETTINGS: &str = "omnigate.toml";

impl Deref for Gateway {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Gateway {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}
