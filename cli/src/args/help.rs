//! The help of every command, held against the copies in `cli/tests/help`; `make snapshots` writes them anew.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ErrorKind};
use clap::{Command, CommandFactory, Parser};
use snapbox::assert::DEFAULT_ACTION_ENV;
use snapbox::{Assert, Data};

use super::Cli;

/// Every command, with the words that lead to it.
fn all() -> Vec<(Vec<String>, Command)> {
    fn walk(path: &[String], command: &Command, found: &mut Vec<(Vec<String>, Command)>) {
        found.push((path.to_vec(), command.clone()));
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            walk(&[path, &[sub.get_name().to_owned()]].concat(), sub, found);
        }
    }
    let mut program = Cli::command().term_width(100);
    program.build();
    let mut found = Vec::new();
    walk(&["shopctl".to_owned()], &program, &mut found);
    found
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/help")
}

#[test]
fn the_help_of_every_command_is_as_it_was_agreed() {
    let compare = Assert::new().action_env(DEFAULT_ACTION_ENV);
    for (words, mut command) in all() {
        let help = command.render_long_help().to_string();
        let path = folder().join(format!("{}.txt", words.join("-")));
        let compared = compare.try_eq(Some(&words.join(" ")), Data::text(help), Data::read_from(&path, None).raw());
        compared.unwrap_or_else(|error| panic!("{error}If that is what it should say: make snapshots"));
    }
}

#[test]
fn no_help_is_kept_of_a_command_that_is_gone() {
    let known: BTreeSet<String> = all().iter().map(|(words, _)| format!("{}.txt", words.join("-"))).collect();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(known.contains(&name), "{name} is of no command: remove it from cli/tests/help");
    }
}

#[test]
fn a_typo_in_the_name_of_a_command_gets_a_suggestion() {
    for (words, _) in all() {
        let name = words.last().unwrap();
        if words.len() == 1 || name.len() < 4 {
            continue;
        }
        let typo = format!("{}x", &name[..name.len() - 1]);
        let line = words[..words.len() - 1].iter().chain([&typo]);
        let error = Cli::try_parse_from(line).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidSubcommand, "{words:?}");
        let suggested = error.get(ContextKind::SuggestedSubcommand).map(ToString::to_string).unwrap_or_default();
        assert!(suggested.contains(name.as_str()), "{typo} suggests {suggested:?} and not {name}");
    }
}
