//! The shop's real programs, started for a test and gone with it.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use sqlx::PgPool;
use uuid::Uuid;

/// Where cargo has put the programs: beside the directory of the running test, unless `SHOP_PROGRAMS` says where.
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let beside = || test.parent().unwrap().parent().unwrap().to_owned();
    let path = std::env::var_os("SHOP_PROGRAMS").map_or_else(beside, PathBuf::from).join(name);
    assert!(
        path.exists(),
        "{} is not there: build it with `cargo build --workspace`, as `make test` does",
        path.display()
    );
    path
}

/// The environment that makes programs one shop: the database of a test, and a Redis prefix of its own.
#[derive(Debug, Clone)]
pub struct Environment(Vec<(String, String)>);

impl Environment {
    /// A shop in that database.
    pub fn new(pool: &PgPool) -> Self {
        let redis = format!("{{redis={{prefix=\"test-{}\"}}}}", Uuid::now_v7());
        Self(
            [
                ("DATABASE_URL", super::url_of(pool)),
                ("REDIS_URL", std::env::var("REDIS_URL").expect("REDIS_URL is set by `make test`")),
                ("ROCKET_DATABASES", redis),
                ("ROCKET_PROFILE", "development".to_owned()),
                ("ROCKET_PORT", "0".to_owned()),
                ("JWT_SECRET", "0f9d2c7be8a1456394d7c0ab12ef5678".to_owned()),
                ("SHOP_LOG_FORMAT", "json".to_owned()),
                ("SHOP_RATE_LIMITS", "off".to_owned()),
            ]
            .map(|(name, value)| (name.to_owned(), value))
            .to_vec(),
        )
    }

    /// The same with another value for a variable.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.0.retain(|(known, _)| known != name);
        self.0.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A command with this environment.
    pub fn command(&self, name: &str) -> Command {
        let mut command = Command::new(program(name));
        self.set_on(&mut command);
        command
    }

    /// Gives any command this environment.
    pub fn set_on(&self, command: &mut Command) {
        command.envs(self.0.iter().map(|(name, value)| (name, value)));
    }

    /// Starts an api, and waits until it listens.
    pub fn api(&self) -> Api {
        self.api_of("shop-api")
    }

    /// The same with a program of that name, which is an api.
    pub fn api_of(&self, program: &str) -> Api {
        let (process, port) = self.start(program, "shop-api listens");
        Api { process, url: format!("http://127.0.0.1:{port}") }
    }

    /// Starts a worker, and waits until it claims.
    pub fn worker(&self) -> Process {
        self.worker_of("shop-worker")
    }

    /// The same with a program of that name, which is a worker.
    pub fn worker_of(&self, program: &str) -> Process {
        self.start(program, "shop-worker claims").0
    }

    /// The same, with the URL at which it says how it is.
    pub fn worker_with_health(&self) -> (Process, String) {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = self.clone().with("ROCKET_PORT", &port.to_string()).worker();
        (process, format!("http://127.0.0.1:{port}"))
    }

    fn start(&self, name: &str, ready: &str) -> (Process, u64) {
        let mut command = self.command(name);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap();
        let log = Log::default();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (complaints, complained) = (BufReader::new(child.stderr.take().unwrap()).lines(), log.clone());
        std::thread::spawn(move || {
            for line in complaints.map_while(Result::ok) {
                eprintln!("{line}");
                complained.add(&line);
            }
        });
        let process = Process { child, log: log.clone() };
        loop {
            let line = lines.next().unwrap_or_else(|| panic!("{name} ended before it was ready")).unwrap();
            log.add(&line);
            let Ok(entry) = serde_json::from_str::<serde_json::Value>(&line) else { continue };
            if entry["message"] == ready {
                let port = entry["port"].as_u64().unwrap();
                // Read on, or the program would block on a full pipe.
                std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| log.add(&line)));
                return (process, port);
            }
        }
    }
}

/// The lines that a program has written, to stdout and to stderr.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Log {
    fn add(&self, line: &str) {
        let mut text = self.0.lock().unwrap();
        text.push_str(line);
        text.push('\n');
    }
}

/// A running program; it is killed when the test lets go of it.
pub struct Process {
    child: Child,
    log: Log,
}

impl Process {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written so far, to stdout and to stderr. What it has just written may be missing.
    pub fn log(&self) -> String {
        self.log.0.lock().unwrap().clone()
    }

    /// Kills it without a word (`kill -9`).
    pub fn kill(mut self) {
        self.end();
    }

    /// Asks it to end (SIGTERM), and gives its exit code.
    pub fn terminate(mut self) -> Option<i32> {
        assert!(Command::new("kill").arg(self.child.id().to_string()).status().unwrap().success());
        self.child.wait().unwrap().code()
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// A running api.
pub struct Api {
    /// The program.
    pub process: Process,
    /// Where it answers.
    pub url: String,
}
