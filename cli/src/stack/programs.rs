//! The shop's own binaries, the api and the worker, as services.

use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::Context;

use super::databases::Urls;
use super::service::{Kind, Service};
use super::state::ServiceState;
use crate::exit::{Exit, Failure};

/// The binaries of api and worker.
#[derive(Debug)]
pub(crate) struct Programs {
    api: PathBuf,
    worker: PathBuf,
}

impl Programs {
    /// The binaries next to our own.
    pub(crate) fn beside_us() -> Result<Self, Failure> {
        let own = std::env::current_exe().and_then(|path| path.canonicalize()).context("cannot find ourselves")?;
        let beside = |name: &str| {
            let path = own.with_file_name(name);
            if path.is_file() {
                return Ok(path);
            }
            Err(Failure::new(Exit::NotFound, format!("{} is missing", path.display()))
                .next("build it beside shopctl: `cargo build`, with `--release` if shopctl was built so"))
        };
        Ok(Self { api: beside("shop-api")?, worker: beside("shop-worker")? })
    }

    /// One api and one worker per port given, numbered from 1.
    pub(crate) fn services(&self, apis: &[u16], workers: &[u16], environment: &Environment) -> Vec<Program> {
        let program = |kind, name: &'static str, path: &PathBuf, number: usize, port: u16| Program {
            service: Service {
                kind,
                name: format!("{name}-{number}"),
                program: path.clone(),
                args: Vec::new(),
                envs: environment.with_port(port),
                folder: None,
                account: None,
                stop: kind.stop_signal(),
            },
            port,
            address: environment.address(port),
        };
        let apis = (1..).zip(apis).map(|(number, port)| program(Kind::Api, "api", &self.api, number, *port));
        let workers =
            (1..).zip(workers).map(|(number, port)| program(Kind::Worker, "worker", &self.worker, number, *port));
        apis.chain(workers).collect()
    }
}

/// An api or a worker, and where it answers.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) service: Service,
    pub(crate) port: u16,
    pub(crate) address: String,
}

impl Program {
    /// The program as `status` shows it.
    pub(crate) fn state(&self) -> ServiceState {
        let Service { name, kind, .. } = &self.service;
        ServiceState { name: name.clone(), kind: *kind, process: None, address: Some(self.address.clone()) }
    }
}

/// The environment that every api and worker gets on top of ours.
#[derive(Debug)]
pub(crate) struct Environment {
    shared: Vec<(&'static str, String)>,
    host: String,
}

impl Environment {
    /// What the caller has set goes before what a shop of one's own needs.
    pub(crate) fn new(urls: &Urls, jwt_secret: String) -> Self {
        let mut shared = vec![("DATABASE_URL", urls.database.clone()), ("REDIS_URL", urls.redis.clone())];
        let defaults = [
            ("JWT_SECRET", jwt_secret.as_str()),
            ("ROCKET_PROFILE", "development"),
            ("ROCKET_ADDRESS", "127.0.0.1"),
            ("SHOP_LOG_FORMAT", "readable"),
        ];
        let unset = |name: &str| std::env::var_os(name).is_none_or(|value| value.is_empty());
        shared
            .extend(defaults.into_iter().filter(|(name, _)| unset(name)).map(|(name, value)| (name, value.to_owned())));
        let listens_at = std::env::var("ROCKET_ADDRESS").unwrap_or_default();
        Self { shared, host: reachable(&listens_at) }
    }

    /// Where a program that listens on this port is reached.
    pub(crate) fn address(&self, port: u16) -> String {
        format!("{}:{port}", self.host)
    }

    fn with_port(&self, port: u16) -> Vec<(&'static str, String)> {
        let mut envs = self.shared.clone();
        envs.push(("ROCKET_PORT", port.to_string()));
        envs
    }
}

/// The host to connect to when a program listens at this address.
fn reachable(listens_at: &str) -> String {
    match listens_at.parse() {
        Ok(IpAddr::V4(address)) if !address.is_unspecified() => address.to_string(),
        Ok(IpAddr::V6(address)) if address.is_unspecified() => "[::1]".to_owned(),
        Ok(IpAddr::V6(address)) => format!("[{address}]"),
        _ => "127.0.0.1".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_listens_everywhere_is_reached_on_this_machine() {
        assert_eq!(reachable("0.0.0.0"), "127.0.0.1");
        assert_eq!(reachable("::"), "[::1]");
        assert_eq!(reachable("10.0.0.7"), "10.0.0.7");
        assert_eq!(reachable(""), "127.0.0.1");
    }

    #[test]
    fn every_copy_has_its_own_port() {
        let programs = Programs { api: "a".into(), worker: "w".into() };
        let urls = Urls { database: "d".to_owned(), redis: "r".to_owned() };
        let services = programs.services(&[3000, 3001], &[20_000], &Environment::new(&urls, "s".to_owned()));
        let names: Vec<&str> = services.iter().map(|program| program.service.name.as_str()).collect();
        assert_eq!(names, ["api-1", "api-2", "worker-1"]);
        assert!(services[1].service.envs.contains(&("ROCKET_PORT", "3001".to_owned())));
        assert!(services[2].address.ends_with(":20000"));
    }
}
