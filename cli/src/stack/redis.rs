//! A Redis of our own: how it is set up, how it is run, and when it can be used.

use std::path::PathBuf;

use anyhow::Context;
use nix::sys::signal::Signal;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::account::{Account, hand_over, private_folder};
use super::service::{Kind, Service};
use super::{files, probe};

/// A private Redis.
#[derive(Debug, Clone)]
pub(crate) struct Redis {
    pub(crate) program: PathBuf,
    /// The folder of its data and its settings.
    pub(crate) folder: PathBuf,
    pub(crate) account: Option<Account>,
    pub(crate) port: u16,
    pub(crate) password: String,
    /// Whether its data are wanted again after it has stopped.
    pub(crate) lasting: bool,
}

impl Redis {
    /// The URL of its first database. It names the default user, since clients
    /// disagree on what an empty name means.
    pub(crate) fn url(&self) -> String {
        format!("redis://default:{}@127.0.0.1:{}/0?protocol=resp3", self.password, self.port)
    }

    /// Writes its settings. They hold the password, which arguments must not,
    /// because everybody can read those.
    pub(crate) fn configure(&self) -> anyhow::Result<()> {
        private_folder(&self.folder, self.account)?;
        let path = self.folder.join("redis.conf");
        let write = || {
            files::write_private(&path, self.settings().as_bytes())?;
            hand_over(&path, self.account)
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }

    fn settings(&self) -> String {
        let Self { port, password, .. } = self;
        format!(
            "bind 127.0.0.1\n\
             port {port}\n\
             requirepass {password}\n\
             appendonly yes\n\
             appendfsync everysec\n\
             save \"\"\n\
             maxmemory-policy noeviction\n\
             loglevel warning\n"
        )
    }

    /// The server as a service. It keeps its data where it runs.
    pub(crate) fn service(&self) -> Service {
        Service {
            kind: Kind::Redis,
            name: "redis".to_owned(),
            program: self.program.clone(),
            args: vec!["redis.conf".into()],
            envs: Vec::new(),
            folder: Some(self.folder.clone()),
            account: self.account,
            stop: if self.lasting { Kind::Redis.stop_signal() } else { Signal::SIGKILL },
        }
    }

    /// Waits until the server has loaded its data and answers.
    pub(crate) async fn open(&self) -> anyhow::Result<()> {
        probe::until(async || self.answers().await.ok().filter(|answers| *answers).map(|_| ())).await;
        Ok(())
    }

    async fn answers(&self) -> std::io::Result<bool> {
        let mut stream = BufReader::new(TcpStream::connect(("127.0.0.1", self.port)).await?);
        stream.write_all(format!("AUTH {}\r\nPING\r\n", self.password).as_bytes()).await?;
        let mut answer = String::new();
        stream.read_line(&mut answer).await?;
        stream.read_line(&mut answer).await?;
        Ok(answer == "+OK\r\n+PONG\r\n")
    }
}
