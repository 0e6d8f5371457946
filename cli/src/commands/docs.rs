//! What the program tells about itself: `completions` for a shell, `man` pages, the `openapi` document, the `schema`.

use std::fs;
use std::path::Path;

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
            write(&program, dir)
        }
    }
}

fn write(command: &Command, dir: &Path) -> Result<(), Failure> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let path = dir.join(format!("{name}.1"));
    fs::write(&path, page(command.clone())?).with_context(|| format!("cannot write {}", path.display()))?;
    output::data(path.display())?;
    let shown = command.get_subcommands().filter(|command| !command.is_hide_set() && command.get_name() != "help");
    shown.into_iter().try_for_each(|command| write(command, dir))
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

    /// The commands directly below the program.
    fn nouns() -> Vec<String> {
        Cli::command().get_subcommands().map(|command| command.get_name().to_owned()).collect()
    }

    #[test]
    fn every_shell_completes_every_command() {
        for shell in Shell::value_variants() {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "shopctl", &mut script);
            let script = String::from_utf8(script).unwrap();
            for noun in nouns() {
                assert!(script.contains(&noun), "{shell} does not know {noun}");
            }
            assert!(script.contains("--dry-run"), "{shell} does not know the options");
        }
    }

    #[test]
    fn the_manual_has_a_page_for_each_command_with_its_examples() {
        let folder = tempfile::tempdir().unwrap();
        man(&ManArgs { dir: Some(folder.path().to_owned()) }).unwrap();
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        let program = read("shopctl.1");
        for noun in nouns() {
            assert!(program.contains(&noun.replace('-', "\\-")), "the manual does not name {noun}");
            assert!(read(&format!("shopctl-{noun}.1")).contains("Examples:"), "{noun} has no examples");
        }
        assert!(read("shopctl-migrate-run.1").contains("shopctl migrate run"));
    }
}
