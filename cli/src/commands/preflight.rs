//! What is looked at before a shop is started, so that what is wrong is said at once.

use crate::args::stack::UpArgs;
use crate::exit::Failure;
use crate::stack::databases::{Given, Site};
use crate::stack::home::Home;
use crate::stack::ports::Ports;
use crate::stack::programs::Programs;
use crate::stack::state;

/// What has to be in order before anything is started.
pub(super) struct Preflight {
    pub(super) programs: Programs,
    pub(super) site: Site,
    pub(super) ports: Ports,
    pub(super) apis: Vec<u16>,
}

impl Preflight {
    /// Looks for everything that can be wrong, with the folder locked.
    pub(super) async fn check(args: &UpArgs, home: &Home) -> Result<Self, Failure> {
        let programs = Programs::beside_us()?;
        // First, since what a killed shop left behind may still hold ports.
        state::clear_stale(home.path()).await?;
        let mut ports = Ports::default();
        let apis = ports.claim(args.port, args.apis)?;
        let site = Site::survey(Given::from_env(), Some(&home.cluster()), args.yes)?;
        Ok(Self { programs, site, ports, apis })
    }
}
