//! A connection that breaks when its peer takes nothing for too long.
//!
//! A peer that is there and reads nothing keeps a TCP connection open for ever. The server of Socket.IO waits for such a
//! write without a limit; and one that failed alone would not end the connection, but leave a hole in what was sent. So once
//! it is broken, it stays broken, in both directions. (`tokio-io-timeout` breaks only the one write.)

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// A connection with a limit for each write.
pub(super) struct Impatient<S> {
    stream: S,
    patience: Duration,
    /// Runs while a write waits.
    overdue: Option<Pin<Box<Sleep>>>,
    broken: bool,
    /// Who reads has to hear of it when a write breaks the connection.
    reader: Option<Waker>,
}

impl<S> Impatient<S> {
    pub(super) fn new(stream: S, patience: Duration) -> Self {
        Self { stream, patience, overdue: None, broken: false, reader: None }
    }

    fn check(&self) -> io::Result<()> {
        if self.broken { Err(io::Error::new(ErrorKind::TimedOut, "the peer takes nothing")) } else { Ok(()) }
    }

    /// A write that waits may wait for so long.
    fn limit<T>(&mut self, written: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.overdue = None;
            return written;
        }
        let patience = self.patience;
        ready!(self.overdue.get_or_insert_with(|| Box::pin(sleep(patience))).as_mut().poll(context));
        self.broken = true;
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        Poll::Ready(Err(ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        if !self.reader.as_ref().is_some_and(|reader| reader.will_wake(context.waker())) {
            self.reader = Some(context.waker().clone());
        }
        Pin::new(&mut self.stream).poll_read(context, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.limit(written, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.limit(flushed, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex, split};

    use super::*;

    #[tokio::test]
    async fn a_peer_that_takes_nothing_breaks_it_for_whoever_reads_as_well() {
        let (near, mut far) = duplex(16);
        let (mut reads, mut writes) = split(Impatient::new(near, Duration::from_millis(50)));
        let reading = tokio::spawn(async move { reads.read_u8().await });

        writes.write_all(&[0; 16]).await.unwrap();
        far.read_exact(&mut [0; 8]).await.unwrap();
        writes.write_all(&[0; 8]).await.unwrap();
        let refused = writes.write_all(&[0; 100]).await;

        assert_eq!(refused.unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(reading.await.unwrap().unwrap_err().kind(), ErrorKind::TimedOut);
        far.read_exact(&mut [0; 16]).await.unwrap();
        assert_eq!(writes.write_all(&[0; 1]).await.unwrap_err().kind(), ErrorKind::TimedOut);
    }
}
