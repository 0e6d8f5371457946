//! How a command ends: the exit codes, and how an error reads on the terminal.

use std::fmt::{self, Display};
use std::process::ExitCode;

/// The exit codes, for `--help`.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed
  2  the command line is wrong
  3  not found
  4  refused: something has to be allowed or changed first
  5  conflict with the present state
  6  a server is away
  130  stopped (Ctrl-C)";

/// Why a command did not succeed, as far as a script needs to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Anything that has no code of its own.
    Failed,
    /// The command line is wrong, as the argument parser says too.
    Usage,
    /// What was asked for is not there.
    NotFound,
    /// Something has to be allowed or changed first.
    Refused,
    /// The present state stands in the way.
    Conflict,
    /// A server that is needed does not answer.
    Away,
    /// Somebody asked it to stop.
    Stopped,
    /// The code of a command that was run for the caller, handed on as it is.
    Command(u8),
}

impl Exit {
    fn code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Refused => 4,
            Self::Conflict => 5,
            Self::Away => 6,
            Self::Stopped => 130,
            Self::Command(code) => code,
        }
    }
}

/// An error on its way to the terminal: what went wrong, the exit code, and
/// what the operator can do next.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    /// `None` where a command that was run has said everything itself.
    error: Option<anyhow::Error>,
    next: Option<String>,
}

impl Failure {
    /// A failure with an exit code of its own.
    pub(crate) fn new(exit: Exit, message: impl Display) -> Self {
        Self { exit, error: Some(anyhow::Error::msg(message.to_string())), next: None }
    }

    /// Leaves with a code and says nothing.
    pub(crate) fn silent(exit: Exit) -> Self {
        Self { exit, error: None, next: None }
    }

    /// The same failure with the step that gets the operator further.
    pub(crate) fn next(mut self, step: impl Display) -> Self {
        self.next = Some(step.to_string());
        self
    }

    /// Prints the failure on stderr and gives the code to leave with.
    pub(crate) fn report(&self) -> ExitCode {
        eprint!("{self}");
        ExitCode::from(self.exit.code())
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(error) = &self.error else { return Ok(()) };
        writeln!(f, "error: {error}")?;
        for cause in error.chain().skip(1) {
            writeln!(f, "  cause: {cause}")?;
        }
        if let Some(next) = &self.next {
            writeln!(f, "  next: {next}")?;
        }
        Ok(())
    }
}

/// Whatever fails without saying more ends with code 1.
impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { exit: Exit::Failed, error: Some(error.into()), next: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_reads_as_error_causes_and_next_step() {
        let error = anyhow::anyhow!("disk full").context("the state cannot be written");
        let failure = Failure::from(error).next("free some space");
        assert_eq!(
            failure.to_string(),
            "error: the state cannot be written\n  cause: disk full\n  next: free some space\n"
        );
    }

    #[test]
    fn every_kind_of_end_has_the_documented_code() {
        let codes =
            [Exit::Failed, Exit::Usage, Exit::NotFound, Exit::Refused, Exit::Conflict, Exit::Away, Exit::Stopped]
                .map(Exit::code);
        assert_eq!(codes, [1, 2, 3, 4, 5, 6, 130]);
        assert_eq!(Exit::Command(42).code(), 42);
    }
}
