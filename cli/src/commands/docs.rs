//! What the program tells about itself: `completions` for a shell, `man` pages, the `openapi` document, the `schema`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Command, CommandFactory};

use crate::args::Cli;
use crate::args::docs::{CompletionsArgs, ManArgs};
use crate::exit::Failure;
use crate::output;

/// Prints what a shell needs to complete the commands and their options.
pub(crate) fn completions(args: &CompletionsArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "shopctl", &mut script);
    Ok(output::data(String::from_utf8_lossy(&script).trim_end())?)
}

/// Prints the page of the program itself, or writes those of all commands.
pub(crate) fn man(args: &ManArgs) -> Result<(), Failure> {
    let mut program = Cli::command();
    // Only now the commands below know all of their names.
    program.build();
    match &args.dir {
        None => Ok(output::data(page(program)?.trim_end())?),
        Some(dir) => {
            fs::create_dir_all(dir).with_context(|| format!("cannot make the folder {}", dir.display()))?;
            let pages = write(&program, dir)?;
            Ok(pages.iter().try_for_each(|page| output::data(page.display()))?)
        }
    }
}

/// Writes the page of a command and those of the commands below it, and gives their names.
fn write(command: &Command, dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let path = dir.join(format!("{name}.1"));
    fs::write(&path, page(command.clone())?).with_context(|| format!("cannot write {}", path.display()))?;
    let mut written = vec![path];
    let shown = command.get_subcommands().filter(|command| !command.is_hide_set() && command.get_name() != "help");
    for command in shown {
        written.extend(write(command, dir)?);
    }
    Ok(written)
}

fn page(command: Command) -> anyhow::Result<String> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    Ok(String::from_utf8(page)?)
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;
    use clap_complete::Shell;

    use super::*;

    /// Every command: the page of the one that it is below, and its name.
    fn all() -> Vec<(String, String)> {
        fn walk(page: &str, command: &Command, found: &mut Vec<(String, String)>) {
            for sub in command.get_subcommands() {
                found.push((page.to_owned(), sub.get_name().to_owned()));
                walk(&format!("{page}-{}", sub.get_name()), sub, found);
            }
        }
        let mut found = Vec::new();
        walk("shopctl", &Cli::command(), &mut found);
        found
    }

    #[test]
    fn every_shell_completes_every_command() {
        for shell in Shell::value_variants() {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "shopctl", &mut script);
            let script = String::from_utf8(script).unwrap();
            for (above, name) in all() {
                assert!(script.contains(&name), "{shell} does not know {above}-{name}");
            }
            assert!(script.contains("dry-run"), "{shell} does not know the options");
        }
    }

    #[test]
    fn the_manual_has_a_page_for_each_command_with_its_examples() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Cli::command();
        command.build();
        write(&command, folder.path()).unwrap();
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        for (above, name) in all() {
            let page = format!("{above}-{name}");
            assert!(read(&format!("{page}.1")).contains("Examples:"), "{page} has no examples");
            let named = page.replace('-', "\\-");
            assert!(read(&format!("{above}.1")).contains(&named), "the page {above} does not name {page}");
        }
        assert!(read("shopctl-migrate-run.1").contains("shopctl migrate run"));
    }
}
