//! `shopctl status`: what runs, where, and whether it answers.

use futures::future::join_all;
use serde::Serialize;
use utoipa::ToSchema;

use crate::args::stack::{StatusArgs, StatusFormat};
use crate::exit::{Exit, Failure};
use crate::output;
use crate::stack::home::shell_quote;
use crate::stack::probe;
use crate::stack::process::ProcessId;
use crate::stack::service::Kind;
use crate::stack::state::{ServiceState, StackState, find_running};

/// Prints the state of the shop that runs in a folder.
pub(crate) async fn run(args: &StatusArgs) -> Result<(), Failure> {
    let Some(state) = find_running(&args.home.dir) else {
        return Err(Failure::new(Exit::NotFound, format!("no shop runs in {}", args.home.dir.display()))
            .next("start one with `shopctl up`"));
    };
    match args.output {
        StatusFormat::Env => output::data(environment(&state))?,
        StatusFormat::Json => output::json(&StatusReport::of(&state).await)?,
        StatusFormat::Jsonl => output::line(&StatusReport::of(&state).await)?,
        StatusFormat::Table => StatusReport::of(&state).await.print()?,
    }
    Ok(())
}

/// The state as it is printed: without the passwords.
#[derive(Serialize, ToSchema)]
pub(crate) struct StatusReport {
    base_url: String,
    pid: u32,
    ready: bool,
    services: Vec<ServiceStatus>,
}

#[derive(Serialize, ToSchema)]
struct ServiceStatus {
    name: String,
    pid: Option<u32>,
    address: Option<String>,
    state: Health,
}

/// How a service does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Health {
    Ready,
    Running,
    Away,
}

impl StatusReport {
    async fn of(state: &StackState) -> Self {
        Self {
            base_url: state.base_url.clone(),
            pid: state.pid(),
            ready: state.ready,
            services: join_all(state.services.iter().map(ServiceStatus::of)).await,
        }
    }

    fn print(self) -> std::io::Result<()> {
        let cells = |row: ServiceStatus| {
            let pid = row.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
            [row.name, pid, row.address.unwrap_or_else(|| "-".to_owned()), row.state.word().to_owned()]
        };
        output::table(["NAME", "PID", "ADDRESS", "STATE"], self.services.into_iter().map(cells).collect())
    }
}

impl ServiceStatus {
    async fn of(service: &ServiceState) -> Self {
        let runs = service.process.is_none_or(ProcessId::is_alive);
        let answers = match (&service.address, service.kind) {
            (None, _) => false,
            (Some(address), Kind::Api | Kind::Worker) => probe::is_ready(address).await,
            (Some(address), Kind::Postgres | Kind::Redis) => probe::listens(address).await,
        };
        Self {
            name: service.name.clone(),
            pid: service.process.map(|process| process.pid),
            address: service.address.clone(),
            state: Health::of(service.process.is_some(), runs, answers),
        }
    }
}

impl Health {
    /// Somebody else may listen where a process of ours no longer runs; of a
    /// server that is not ours, an answer is all there is to know.
    fn of(ours: bool, runs: bool, answers: bool) -> Self {
        match (runs, answers) {
            (true, true) => Self::Ready,
            (true, false) if ours => Self::Running,
            _ => Self::Away,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Away => "away",
        }
    }
}

/// The state as assignments for a shell.
fn environment(state: &StackState) -> String {
    let pids = |kind| state.pids(kind).iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
    let mut variables = vec![
        ("BASE_URL", state.base_url.clone()),
        ("DATABASE_URL", state.database_url.clone()),
        ("REDIS_URL", state.redis_url.clone()),
        ("SHOP_PID", state.pid().to_string()),
        ("POSTGRES_PID", pids(Kind::Postgres)),
        ("REDIS_PID", pids(Kind::Redis)),
        ("API_PIDS", pids(Kind::Api)),
        ("WORKER_PIDS", pids(Kind::Worker)),
    ];
    if let Some(url) = &state.gateway_url {
        variables.push(("ROCKET_GATEWAY", format!("{{url={url:?}}}")));
    }
    let lines: Vec<String> = variables.iter().map(|(name, value)| format!("{name}={}", shell_quote(value))).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> StackState {
        let service = |name: &str, kind, pid: Option<u32>| ServiceState {
            name: name.to_owned(),
            kind,
            process: pid.map(ProcessId::of),
            address: None,
        };
        StackState {
            supervisor: ProcessId::of(1),
            ready: true,
            base_url: "http://127.0.0.1:3000".to_owned(),
            database_url: "postgres://db/it's".to_owned(),
            redis_url: "redis://db/0?protocol=resp3".to_owned(),
            gateway_url: Some("http://127.0.0.1:4000".to_owned()),
            sample_product: None,
            services: vec![
                service("postgres", Kind::Postgres, None),
                service("api-1", Kind::Api, Some(7)),
                service("api-2", Kind::Api, Some(8)),
            ],
        }
    }

    #[test]
    fn a_shell_reads_back_what_was_meant() {
        let lines = environment(&state());
        assert!(lines.contains("BASE_URL=http://127.0.0.1:3000\n"));
        assert!(lines.contains(r"DATABASE_URL='postgres://db/it'\''s'"));
        assert!(lines.contains("REDIS_URL='redis://db/0?protocol=resp3'\n"));
        assert!(lines.contains("POSTGRES_PID=''\n"));
        assert!(lines.contains("API_PIDS='7 8'\n"));
        assert!(lines.ends_with(r#"ROCKET_GATEWAY='{url="http://127.0.0.1:4000"}'"#), "{lines}");
    }

    #[test]
    fn a_process_that_is_gone_is_away_whoever_answers() {
        assert_eq!(Health::of(true, false, true), Health::Away);
        assert_eq!(Health::of(true, true, false), Health::Running);
        assert_eq!(Health::of(false, true, false), Health::Away);
        assert_eq!(Health::of(false, true, true), Health::Ready);
    }
}
