//! The command line.

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Parser, Subcommand, value_parser};
use omnigate_actors::clock;
use omnigate_actors::secrets::Secret;
use serde::Deserialize;
use wmbus::im871a::LinkMode;

use crate::check_config::{check_config, print_state_dir};
use crate::control::ask;
use crate::decode;
#[cfg(feature = "demo")]
use crate::demo;
use crate::exit::Exit;
use crate::logging::Logging;
use crate::meters;
use crate::overview::{self, Overview};
use crate::profiles::{self, Form};
#[cfg(feature = "demo")]
use crate::settings::sections::Level;
use crate::settings::{DEFAULT_FILE, DaemonSettings, Environment, Mistakes, Settings};
use crate::setup;
use crate::simulate::{self, Meters};
use crate::terminal;
use crate::wiring;

/// Smart-meter gateway: hears wireless M-Bus meters and delivers every reading to an MQTT broker.
#[derive(Debug, Parser)]
#[command(name = "omnigate", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway
    ///
    /// Until STOP comes over MQTT, or SIGTERM or SIGINT; a second signal ends it at once.
    #[command(after_long_help = exit_codes())]
    Run(RunArguments),
    /// Run the driver alone
    ///
    /// Writes what the dongle hears to a FIFO, for `omnigate run --fifo` or any other program: each telegram as a line of hexadecimal digits
    /// from its L field on, and the two bytes of the dongle's CRC. Either side may end and come back; while nobody reads, telegrams are
    /// dropped. Until SIGTERM or SIGINT.
    Driver(DriverArguments),
    /// Show how the gateway that runs on this machine is
    ///
    /// What works and what does not, the meters with their latest values, the others on the air, and the actors. Asks through the control
    /// socket in the state directory, so it needs the rights of the user who runs the gateway. Exit code 0 if the gateway does its work,
    /// otherwise 1.
    Status(ConfigArguments),
    /// Find every mistake in the settings
    ///
    /// Prints a line for each, with file, line and key. Exit code 0 if there is none, otherwise 1.
    CheckConfig(CheckConfigArguments),
    /// Make the settings, and try them
    ///
    /// Asks for what is not given: the gateway's id, the broker, the dongle. Connects to the broker, configures the dongle, shows the meters
    /// that it hears, and writes settings that `check-config` accepts. Exit code 0 if they are written, otherwise 1.
    Setup {
        #[command(flatten)]
        file: ConfigArguments,
        #[command(flatten)]
        answers: setup::Answers,
    },
    /// List the meters that the running gateway hears
    ///
    /// Monitored or not: number, manufacturer, model, medium, encryption, interval, signal strength, and how the monitored ones fare.
    Meters(MetersArguments),
    /// List and check the profiles of types of meters
    ///
    /// The embedded ones and those of a directory, which takes whose place, and every mistake with file, line and key. Exit code 0 if there is
    /// no mistake, otherwise 1.
    Profiles(ProfilesArguments),
    /// Decode telegrams to JSON
    ///
    /// Each input line is `TELEGRAM_HEX [KEY_HEX]` and is answered by one line with a JSON object, in order: what the telegram says, or
    /// `error`, `layer` and `offset`. Exit code 0 if all lines could be decoded, otherwise 1.
    Decode(DecodeArguments),
    /// A virtual iM871A with virtual OmniPower meters
    ///
    /// Prints the path of a pseudo-terminal that any software for the dongle can open, and runs until it is interrupted.
    Simulate(SimulateArguments),
    /// Watch the whole way of a reading in one program
    ///
    /// Virtual meters, a virtual dongle, the gateway, an embedded broker, and a subscriber that prints every message. Needs nothing else.
    #[cfg(feature = "demo")]
    Demo(DemoArguments),
}

#[derive(Debug, clap::Args)]
struct ConfigArguments {
    /// The settings
    #[arg(long, value_name = "FILE", env = "OMNIGATE_CONFIG", default_value = DEFAULT_FILE)]
    config: PathBuf,
}

#[derive(Debug, clap::Args)]
struct CheckConfigArguments {
    #[command(flatten)]
    config: ConfigArguments,
    /// Print the state directory that they name and nothing else, for scripts
    #[arg(long)]
    state_dir: bool,
}

#[derive(Debug, clap::Args)]
struct RunArguments {
    #[command(flatten)]
    config: ConfigArguments,
    /// Read the FIFO of a driver daemon instead of the source that the settings name
    #[arg(long, value_name = "PATH")]
    fifo: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct DriverArguments {
    /// The FIFO to write; made if it is not there
    #[arg(long, value_name = "PATH")]
    fifo: PathBuf,
    /// The settings, of which the daemon needs `[driver]` and `[log]`; without the file at the usual place they have their defaults
    #[arg(long, value_name = "FILE", env = "OMNIGATE_CONFIG")]
    config: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct MetersArguments {
    #[command(flatten)]
    config: ConfigArguments,
    /// Print a JSON list
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct ProfilesArguments {
    /// The directory; without it, the one in the settings, if there is one
    #[arg(value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigArguments,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct DecodeArguments {
    /// The key of lines without one: 32 hexadecimal digits, or 16 for DES. Others on this machine can see it while the program runs; to
    /// hide it put it on the lines or into the variable.
    #[arg(long, value_name = "HEX", env = "OMNIGATE_KEY", hide_env_values = true, value_parser = secret)]
    key: Option<Secret>,
    /// Show every byte: its layer, its field, what it means and what it says; as text, with colours on a terminal (not if NO_COLOR is
    /// set), or as JSON
    #[arg(long, value_name = "FORMAT", num_args = 0..=1, require_equals = true, default_missing_value = "text")]
    explain: Option<Explain>,
    /// The telegrams; `-` or none is standard input
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Explain {
    Text,
    Json,
}

#[derive(Debug, clap::Args)]
struct SimulateArguments {
    /// How many meters; their serial numbers begin with 32666857, their key is the one in the documentation
    #[arg(long, value_name = "COUNT", default_value_t = 3, value_parser = value_parser!(u16).range(1..))]
    meters: u16,
    /// The meters of a file instead, which holds a set message: a JSON list of deviceId, manufacturerKey and encryptionKey
    #[arg(long, value_name = "FILE", conflicts_with = "meters")]
    set: Option<PathBuf>,
    /// How often each meter sends, in seconds; below 4 their clocks run ahead
    #[arg(long, value_name = "SECONDS", default_value = "16", value_parser = seconds)]
    interval: Duration,
    /// End after so many telegrams
    #[arg(long, value_name = "COUNT")]
    telegrams: Option<u64>,
    /// The link mode in which the meters send
    #[arg(long, value_name = "MODE", default_value = "c1a")]
    link_mode: LinkMode,
    /// A link to make to the pseudo-terminal
    #[arg(long, value_name = "PATH")]
    link: Option<PathBuf>,
}

#[cfg(feature = "demo")]
#[derive(Debug, clap::Args)]
struct DemoArguments {
    /// End after so many seconds; without it, when interrupted
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    seconds: Option<Duration>,
    /// How many virtual meters
    #[arg(long, value_name = "COUNT", default_value_t = 3, value_parser = value_parser!(u16).range(1..=1000))]
    meters: u16,
    /// How often each of them sends, in seconds; below 4 their clocks run ahead
    #[arg(long, value_name = "SECONDS", default_value = "4", value_parser = seconds)]
    interval: Duration,
    /// Print topic and payload as they are
    #[arg(long)]
    raw: bool,
    /// Say on standard error what the gateway does
    #[arg(long)]
    verbose: bool,
}

impl Cli {
    /// Reads the command line of this process; ends it when that is wrong, or asks for help.
    pub fn of_process() -> Self {
        Self::parse()
    }

    /// Does what it says.
    pub fn execute(self) -> Exit {
        let done = match self.command {
            Command::Run(arguments) => run(&arguments),
            Command::Driver(arguments) => drive(&arguments),
            Command::Status(arguments) => show_status(&arguments),
            Command::CheckConfig(arguments) => arguments.execute(),
            Command::Setup { file, answers } => {
                setup::setup(&file.config, &answers, &Environment::of_process())
            }
            Command::Meters(arguments) => arguments.execute(),
            Command::Profiles(arguments) => arguments.execute(),
            Command::Decode(arguments) => arguments.execute(),
            Command::Simulate(arguments) => arguments.execute(),
            #[cfg(feature = "demo")]
            Command::Demo(arguments) => arguments.execute(),
        };
        match done {
            Ok(exit) => exit,
            // Whoever read our output has heard enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Clean,
            Err(error) => {
                eprintln!("omnigate: {error}");
                Exit::Failed
            }
        }
    }
}

impl CheckConfigArguments {
    fn execute(self) -> io::Result<Exit> {
        let (file, environment) = (&self.config.config, Environment::of_process());
        let out = &mut io::stdout().lock();
        if self.state_dir {
            print_state_dir(file, &environment, out)
        } else {
            check_config(file, &environment, out)
        }
    }
}

impl MetersArguments {
    fn execute(self) -> io::Result<Exit> {
        let settings = match Settings::load(&self.config.config, &Environment::of_process()) {
            Ok(settings) => settings,
            Err(mistakes) => return Ok(bad_settings(&mistakes)),
        };
        let meters = ask(&settings.gateway.state_dir, "meters").map_err(io::Error::other)?;
        let out = &mut BufWriter::new(io::stdout().lock());
        if self.json {
            meters::write_json(&meters, out)?;
        } else {
            meters::write_table(&meters, clock::now(), out)?;
        }
        out.flush()?;
        Ok(Exit::Clean)
    }
}

impl ProfilesArguments {
    fn execute(self) -> io::Result<Exit> {
        let usual = Path::new(DEFAULT_FILE);
        let directory = match self.directory {
            Some(directory) => Some(directory),
            // A machine without a gateway has no settings.
            None if self.config.config == usual && !usual.exists() => None,
            None => match Settings::load(&self.config.config, &Environment::of_process()) {
                Ok(settings) => settings.profiles.directory,
                Err(mistakes) => return Ok(bad_settings(&mistakes)),
            },
        };
        let form = if self.json { Form::Json } else { Form::Table };
        let out = &mut BufWriter::new(io::stdout().lock());
        let exit = profiles::profiles(directory.as_deref(), form, out)?;
        out.flush()?;
        Ok(exit)
    }
}

impl DecodeArguments {
    fn execute(self) -> io::Result<Exit> {
        let key = match self
            .key
            .map(|key| decode::Key::new(key.expose()))
            .transpose()
        {
            Ok(key) => key,
            Err(error) => return Ok(wrong_use(&format!("--key: {error}"))),
        };
        let style = match self.explain {
            None => decode::Style::Values,
            Some(Explain::Json) => decode::Style::ExplainJson,
            Some(Explain::Text) if terminal::shows_colours() => {
                decode::Style::ExplainText(decode::Paint::Colours)
            }
            Some(Explain::Text) => decode::Style::ExplainText(decode::Paint::Plain),
        };
        let out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
        let all_good = match self.files.as_slice() {
            [] => decode::decode(key, style, io::stdin().lock(), out)?,
            [file] if file.as_os_str() == "-" => {
                decode::decode(key, style, io::stdin().lock(), out)?
            }
            [file] => {
                let input = File::open(file).map_err(|error| {
                    io::Error::new(error.kind(), format!("{}: {error}", file.display()))
                })?;
                decode::decode(key, style, input, out)?
            }
            // Not told by clap, which would repeat it: it may be a key.
            _ => {
                return Ok(wrong_use(
                    "only one FILE can be decoded; keys are given with --key or on the lines of the file",
                ));
            }
        };
        Ok(if all_good { Exit::Clean } else { Exit::Failed })
    }
}

fn run(RunArguments { config, fifo }: &RunArguments) -> io::Result<Exit> {
    let load = || {
        let mut settings = Settings::load(&config.config, &Environment::of_process())?;
        if let Some(fifo) = fifo {
            settings.driver.read_fifo(fifo.clone());
        }
        Ok(settings)
    };
    let settings = match load() {
        Ok(settings) => settings,
        Err(mistakes) => return Ok(bad_settings(&mistakes)),
    };
    let logging = Logging::for_service(&settings.log);
    wiring::run(&settings, Some(&load), &logging)
}

fn drive(DriverArguments { fifo, config }: &DriverArguments) -> io::Result<Exit> {
    let load = || DaemonSettings::load(config.as_deref());
    let settings = match load() {
        Ok(settings) => settings,
        Err(mistakes) => return Ok(bad_settings(&mistakes)),
    };
    let logging = Logging::for_service(&settings.log);
    wiring::drive(&settings, &load, fifo, &logging)
}

fn show_status(ConfigArguments { config }: &ConfigArguments) -> io::Result<Exit> {
    let settings = match Settings::load(config, &Environment::of_process()) {
        Ok(settings) => settings,
        Err(mistakes) => return Ok(bad_settings(&mistakes)),
    };
    let answer = ask(&settings.gateway.state_dir, "status").map_err(io::Error::other)?;
    let overview = Overview::deserialize(answer)
        .map_err(|error| io::Error::other(format!("a gateway of another version runs: {error}")))?;
    let mut out = io::stdout().lock();
    let text = overview::terminal::render(&overview, terminal::shows_colours());
    out.write_all(text.as_bytes())?;
    Ok(if overview.is_ready() {
        Exit::Clean
    } else {
        Exit::Failed
    })
}

fn bad_settings(mistakes: &Mistakes) -> Exit {
    eprintln!("{mistakes}");
    Exit::BadSettings
}

/// What scripts and service managers need to know.
fn exit_codes() -> String {
    let line = |(exit, meaning): (Exit, &str)| format!("{:>3}  {meaning}\n", exit as u8);
    format!("Exit codes:\n{}", Exit::ALL.map(line).concat())
}

/// Takes any text: what is wrong with it must not be told by clap, which would repeat it.
fn secret(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::new(text.to_owned()))
}

impl SimulateArguments {
    fn execute(self) -> io::Result<Exit> {
        let meters = match self.set {
            Some(file) => Meters::File(file),
            None => Meters::Examples(Meters::example_ids(self.meters.into())),
        };
        simulate::run(&simulate::Options {
            meters,
            interval: self.interval,
            telegrams: self.telegrams,
            link_mode: self.link_mode,
            link: self.link,
            ..simulate::Options::default()
        })
        .map_err(io::Error::other)?;
        Ok(Exit::Clean)
    }
}

#[cfg(feature = "demo")]
impl DemoArguments {
    fn execute(self) -> io::Result<Exit> {
        demo::demo(demo::Options {
            length: self.seconds,
            meters: self.meters.into(),
            interval: self.interval,
            style: self.raw.then_some(demo::Style::Raw),
            level: if self.verbose {
                Level::Info
            } else {
                Level::Warning
            },
        })
    }
}

/// Seconds, perhaps with a fraction; at least a millisecond, at most a day.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| "a number of seconds is needed".to_owned())?;
    if (0.001..=86_400.0).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("a number of seconds from 0.001 to 86400 is needed".to_owned())
    }
}

fn wrong_use(what: &str) -> Exit {
    eprintln!("omnigate: {what}");
    Exit::WrongUse
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }
}
