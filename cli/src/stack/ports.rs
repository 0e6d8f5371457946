//! Picks TCP ports on 127.0.0.1.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::Context;
use rand::Rng;

use crate::exit::{Exit, Failure};

/// Below the range that systems hand out to outgoing connections, so that no
/// connection of a busy machine takes a port between our look and its use.
const PRIVATE_PORTS: std::ops::RangeInclusive<u16> = 20_000..=32_000;

/// The ports given out so far, so that none is given out twice.
#[derive(Debug, Default)]
pub(crate) struct Ports {
    taken: Vec<u16>,
}

impl Ports {
    /// Takes `count` ports from `first` on, which the operator asked for.
    pub(crate) fn claim(&mut self, first: u16, count: u16) -> Result<Vec<u16>, Failure> {
        let last =
            first.checked_add(count - 1).with_context(|| format!("there are no {count} ports from {first} on"))?;
        let ports: Vec<u16> = (first..=last).collect();
        ports.iter().try_for_each(|port| check_free(*port))?;
        self.taken.extend(&ports);
        Ok(ports)
    }

    /// Takes a free port: the remembered one if it still is, else any.
    pub(crate) fn pick(&mut self, remembered: Option<u16>) -> anyhow::Result<u16> {
        let mut random = rand::rng();
        let guesses = std::iter::repeat_with(|| random.random_range(PRIVATE_PORTS)).take(1000);
        let port = remembered
            .into_iter()
            .chain(guesses)
            .find(|port| !self.taken.contains(port) && is_free(*port))
            .context("there is no free port between 20000 and 32000 on 127.0.0.1")?;
        self.taken.push(port);
        Ok(port)
    }
}

/// Refuses a port that somebody listens on. Free now is not free for ever: look
/// again right before it is used.
pub(crate) fn check_free(port: u16) -> Result<(), Failure> {
    if is_free(port) {
        return Ok(());
    }
    Err(Failure::new(Exit::Conflict, format!("port {port} is taken by another program"))
        .next("pick another one with `--port`, or stop the program that listens there"))
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remembered_port_is_taken_again_if_it_is_free() {
        let free = Ports::default().pick(None).unwrap();
        assert_eq!(Ports::default().pick(Some(free)).unwrap(), free);

        let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, free)).unwrap();
        assert_ne!(Ports::default().pick(Some(free)).unwrap(), free);
    }

    #[test]
    fn no_port_is_given_out_twice() {
        let mut ports = Ports::default();
        let first = ports.pick(None).unwrap();
        assert_ne!(ports.pick(Some(first)).unwrap(), first);
    }

    #[test]
    fn a_taken_port_cannot_be_claimed() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(Ports::default().claim(port, 1).is_err());
    }

    #[test]
    fn ports_end_at_65535() {
        assert!(Ports::default().claim(65_535, 2).is_err());
    }
}
