//! `omnigate setup`: asks for what the gateway must know, tries each answer for real, and writes the settings.
//!
//! What the command line gives is not asked; where nobody can be asked (standard input is no terminal) the defaults are taken. Nothing is
//! written unless everything worked, or the operator says that it is to be written all the same.

mod broker;
mod dongle;
mod draft;
mod questions;

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::Duration;

use actix::prelude::System;
use clap::Args;
use dialoguer::Confirm;

use self::questions::Asker;
use crate::cli::seconds;
use crate::exit::Exit;
use crate::settings::{Environment, Settings};

/// What the command line answers; the rest is asked.
#[derive(Debug, Args)]
pub struct Answers {
    /// The gateway's id, as the cloud knows it
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// The folder for what must survive a restart
    #[arg(long, value_name = "FOLDER")]
    state_dir: Option<PathBuf>,
    /// The broker: mqtt://HOST[:PORT], or mqtts:// for TLS
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The user name at the broker; its password is asked for, or comes from OMNIGATE_MQTT_PASSWORD or a file
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// A file that holds the password and nothing else
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The certificates, PEM, of those who may vouch for the broker's
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// The dongle's port; auto finds it by its name
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    /// What the dongle hears: c1a, t1, c1t1, …
    #[arg(long, value_name = "MODE")]
    link_mode: Option<String>,
    /// How long to listen for meters, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    listen: Duration,
    /// Write the settings without trying them
    #[arg(long)]
    untried: bool,
    /// Replace the settings that are there
    #[arg(long)]
    overwrite: bool,
}

/// Asks, tries and writes.
///
/// # Errors
/// Where the terminal or the disk fails.
pub fn setup(config: &Path, answers: &Answers, environment: &Environment) -> io::Result<Exit> {
    let asker = Asker::new(io::stdin().is_terminal());
    if config.exists() && !may_replace(config, answers.overwrite, &asker)? {
        eprintln!(
            "omnigate: {} is there already; --overwrite replaces it",
            config.display()
        );
        return Ok(Exit::Failed);
    }
    let draft = loop {
        let draft = match asker.draft(answers)? {
            Ok(draft) => draft,
            Err(mistake) => {
                eprintln!("omnigate: {mistake}");
                return Ok(Exit::WrongUse);
            }
        };
        let settings = match draft.check(environment) {
            Ok(settings) => settings,
            Err(mistakes) => {
                mistakes
                    .iter()
                    .for_each(|mistake| eprintln!("omnigate: {mistake}"));
                if asker.can_ask() {
                    continue;
                }
                return Ok(Exit::Failed);
            }
        };
        if answers.untried || works(&settings, answers.listen) {
            break draft;
        }
        if !asker.can_ask() {
            eprintln!("omnigate: nothing is written; --untried writes the settings all the same");
            return Ok(Exit::Failed);
        }
        if confirm("Not everything worked. Write these settings all the same?")? {
            break draft;
        }
    };
    draft.write(config)?;
    if let Err(mistakes) = Settings::load(config, environment) {
        eprintln!("{mistakes}");
        return Ok(Exit::Failed);
    }
    let config = config.display();
    println!("\nWritten: {config}\nStart the gateway: omnigate run --config {config}");
    Ok(Exit::Clean)
}

fn may_replace(config: &Path, overwrite: bool, asker: &Asker) -> io::Result<bool> {
    if overwrite || !asker.can_ask() {
        return Ok(overwrite);
    }
    confirm(&format!(
        "{} is there already. Replace it?",
        config.display()
    ))
}

fn confirm(question: &str) -> io::Result<bool> {
    let confirm = Confirm::new().with_prompt(question).default(false);
    Ok(confirm.interact()?)
}

/// Tries the broker and the dongle, and says how it went.
fn works(settings: &Settings, listen: Duration) -> bool {
    System::new().block_on(async {
        let broker = broker::works(settings).await;
        let dongle = dongle::works(settings, listen).await;
        broker && dongle
    })
}
