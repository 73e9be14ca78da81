//! Writes the manual page and the shells' completions into a folder, from the definition of the command line.
//!
//! `cargo run --example manual FOLDER`

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use clap::CommandFactory;
use clap_complete::{Shell, generate_to};
use omnigate::cli::Cli;

fn main() -> Result<(), Box<dyn Error>> {
    let folder: PathBuf = std::env::args_os()
        .nth(1)
        .ok_or("usage: manual FOLDER")?
        .into();
    fs::create_dir_all(&folder)?;
    clap_mangen::generate_to(Cli::command(), &folder)?;
    for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
        generate_to(shell, &mut Cli::command(), "omnigate", &folder)?;
    }
    Ok(())
}
