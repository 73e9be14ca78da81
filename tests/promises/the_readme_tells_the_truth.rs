//! What the README says of commands, exit codes, supervision and `decode` is so.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use clap::CommandFactory;
use omnigate::cli::Cli;
use omnigate::exit::Exit;
use omnigate_actors::tree;

const README: &str = include_str!("../../README.md");

#[test]
fn all_commands_are_in_its_table_and_no_others() {
    let existing: BTreeSet<String> = Cli::command()
        .get_subcommands()
        .map(|command| command.get_name().to_owned())
        .collect();
    let rows = README
        .lines()
        .filter_map(|line| line.strip_prefix("| `omnigate "));
    let listed: BTreeSet<String> = rows
        .map(|row| row.split([' ', '`']).next().unwrap().to_owned())
        .collect();
    assert_eq!(listed, existing);
}

#[test]
fn the_options_in_its_table_exist() {
    let command = Cli::command();
    for row in README
        .lines()
        .filter_map(|line| line.strip_prefix("| `omnigate "))
    {
        let usage = row.split('`').next().unwrap();
        let name = usage.split(' ').next().unwrap();
        let subcommand = command.find_subcommand(name).unwrap();
        for option in usage
            .split([' ', '[', ']'])
            .filter_map(|word| word.strip_prefix("--"))
        {
            assert!(
                subcommand
                    .get_arguments()
                    .any(|argument| argument.get_long() == Some(option)),
                "{name} has no --{option}"
            );
        }
    }
}

#[test]
fn all_exit_codes_are_told() {
    let paragraph = README
        .split("\n\n")
        .find(|paragraph| paragraph.starts_with("Exit codes of `run`: "))
        .unwrap();
    let told: BTreeSet<&str> = paragraph
        .split_whitespace()
        .filter(|word| word.bytes().all(|byte| byte.is_ascii_digit()))
        .collect();
    let existing: Vec<String> = Exit::ALL.iter().map(|(exit, _)| exit.to_string()).collect();
    assert_eq!(told, existing.iter().map(String::as_str).collect());
}

#[test]
fn the_supervision_tree_is_the_one_that_runs() {
    assert!(
        README.contains(tree::render().trim_end()),
        "the README lacks:\n{}",
        tree::render()
    );
}

#[test]
fn its_example_of_an_explanation_is_what_is_printed() {
    let (shown, printed) = example(" | omnigate decode --explain");
    let shown: Vec<_> = shown.iter().map(|line| &line[4..]).collect();
    assert_eq!(printed.trim_end().lines().collect::<Vec<_>>(), shown);
}

/// The lines that the README shows below the example whose command ends so, and what the program prints for it.
fn example(command: &str) -> (Vec<&'static str>, String) {
    let mut lines = README
        .lines()
        .skip_while(|line| !(line.starts_with("    $ echo ") && line.ends_with(command)));
    let input = lines.next().unwrap();
    let input = input
        .trim_start_matches("    $ echo ")
        .trim_end_matches(command);
    let shown = lines.take_while(|line| !line.is_empty()).collect();
    let arguments = command.trim_start_matches(" | omnigate ");
    let mut process = Command::new(env!("CARGO_BIN_EXE_omnigate"))
        .args(arguments.split(' '))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(process.stdin.take().unwrap(), "{input}").unwrap();
    let output = process.wait_with_output().unwrap();
    (shown, String::from_utf8(output.stdout).unwrap())
}

#[test]
fn its_example_of_decode_gives_what_it_shows() {
    let (shown, printed) = example(" | omnigate decode");
    let shown: String = shown.into_iter().map(str::trim).collect();
    let mut rest = printed.trim_end();
    // What the README leaves out stands between these parts.
    let (first_parts, last) = shown.rsplit_once('…').unwrap();
    for part in first_parts.split('…') {
        let at = rest
            .find(part)
            .unwrap_or_else(|| panic!("{part} is not in {rest}"));
        rest = &rest[at + part.len()..];
    }
    assert!(rest.ends_with(last), "{rest} does not end with {last}");
}
