//! One readable log out of many: each line of a service behind its name.

use std::fs::File;
use std::io::{self, PipeReader, Write};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::unix::pipe::Receiver;

use crate::output;

/// The name in front of our own lines.
const OURSELVES: &str = "shop";

/// Where the lines of all services go. Clones write to the same place.
#[derive(Clone)]
pub(crate) struct Log {
    sink: Arc<Mutex<Box<dyn Write + Send>>>,
    colour: bool,
}

impl Log {
    /// A log on our stdout, coloured if that is a terminal.
    pub(crate) fn stdout() -> Self {
        Self { sink: Arc::new(Mutex::new(Box::new(io::stdout()))), colour: output::colour() }
    }

    /// A log in a file.
    pub(crate) fn file(file: File) -> Self {
        Self { sink: Arc::new(Mutex::new(Box::new(file))), colour: false }
    }

    /// Writes a line of our own.
    pub(crate) fn say(&self, text: impl AsRef<str>) {
        self.line(OURSELVES, text.as_ref());
    }

    /// Writes what a service writes, line by line, until it closes the pipe.
    pub(crate) async fn copy(self, name: String, pipe: PipeReader) {
        let Ok(pipe) = Receiver::from_owned_fd(OwnedFd::from(pipe)) else { return };
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while matches!(pipe.read_until(b'\n', &mut line).await, Ok(read) if read > 0) {
            self.line(&name, String::from_utf8_lossy(&line).trim_end());
            line.clear();
        }
    }

    fn line(&self, name: &str, text: &str) {
        let line = format(name, text, self.colour);
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        // A log that nobody reads any more must not stop the shop.
        let _ = sink.write_all(line.as_bytes()).and_then(|()| sink.flush());
    }
}

fn format(name: &str, text: &str, colour: bool) -> String {
    if !colour {
        return format!("{name:<8} │ {text}\n");
    }
    let code = match name.split('-').next() {
        Some("postgres") => 34,
        Some("redis") => 35,
        Some("api") => 32,
        Some("worker") => 33,
        _ => 36,
    };
    format!("\x1b[{code}m{name:<8} │\x1b[0m {text}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_padded_and_coloured_only_on_request() {
        assert_eq!(format("redis", "ready", false), "redis    │ ready\n");
        assert_eq!(format("worker-1", "ready", true), "\x1b[33mworker-1 │\x1b[0m ready\n");
    }

    #[tokio::test]
    async fn a_line_without_an_end_and_one_that_is_no_text_are_copied() {
        let path = tempfile::NamedTempFile::new().unwrap();
        let (pipe, mut input) = io::pipe().unwrap();
        input.write_all(b"one\r\ntw\xffo").unwrap();
        drop(input);
        Log::file(path.reopen().unwrap()).copy("api-1".to_owned(), pipe).await;
        assert_eq!(std::fs::read_to_string(path.path()).unwrap(), "api-1    │ one\napi-1    │ tw\u{fffd}o\n");
    }
}
