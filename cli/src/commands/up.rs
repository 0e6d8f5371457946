//! `shopctl up`: the whole shop in one terminal.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::time::Instant;

use futures::future::try_join_all;
use secrecy::{ExposeSecret, SecretString};
use shop_common::seed::{self, SeededAdmin};
use shop_common::users::Email;

use super::preflight::Preflight;
use super::{detach, migrate, next_steps};
use crate::args::stack::UpArgs;
use crate::exit::Failure;
use crate::output;
use crate::shop::Shop as OpenShop;
use crate::stack::databases::{Databases, Urls};
use crate::stack::home::Home;
use crate::stack::log::Log;
use crate::stack::probe;
use crate::stack::process::ProcessId;
use crate::stack::programs::{Environment, Program};
use crate::stack::signals::Asked;
use crate::stack::state::{Board, ServiceState, StackState};
use crate::stack::supervisor::Supervisor;
use crate::stack::{files, ports};

/// Runs the shop until it is asked to stop, or leaves it in the background.
pub(crate) async fn run(args: &UpArgs) -> Result<(), Failure> {
    if args.detach {
        return detach::run(args).await;
    }
    if args.detached {
        // A session of its own: closing the terminal does not end it.
        nix::unistd::setsid()?;
    }
    let begun = Instant::now();
    let home = Home::open(&args.home.dir)?;
    let _lock = home.lock()?;
    let shop = Shop::plan(args, &home, Preflight::check(args, &home).await?)?;
    let asked = Asked::listen()?;
    let board = Board::new(home.path(), shop.state())?;
    let supervisor = Supervisor::new(Log::stdout(), asked.clone(), board.recorder());
    let opened = tokio::select! {
        opened = shop.open(args, &home, &supervisor, &board, begun) => opened,
        () = asked.to_stop() => Ok(()),
    };
    if opened.is_ok() {
        asked.to_stop().await;
    }
    supervisor.log().say("stopping");
    supervisor.stop().await;
    board.remove()?;
    opened
}

/// A shop that is ready to be started.
struct Shop {
    databases: Databases,
    programs: Vec<Program>,
    base_url: String,
}

impl Shop {
    fn plan(args: &UpArgs, home: &Home, preflight: Preflight) -> Result<Self, Failure> {
        let Preflight { programs, site, mut ports, apis } = preflight;
        let databases = Databases::lasting(home, &site, &mut ports)?;
        let workers = (0..args.workers).map(|_| ports.pick(None)).collect::<anyhow::Result<Vec<_>>>()?;
        let environment = Environment::new(databases.urls(), home.jwt_secret()?);
        let base_url = format!("http://{}", environment.address(args.port));
        Ok(Self { databases, programs: programs.services(&apis, &workers, &environment), base_url })
    }

    fn state(&self) -> StackState {
        let Urls { database, redis } = self.databases.urls().clone();
        let mut services: Vec<ServiceState> = self.databases.states();
        services.extend(self.programs.iter().map(Program::state));
        StackState {
            supervisor: ProcessId::of(std::process::id()),
            ready: false,
            base_url: self.base_url.clone(),
            database_url: database,
            redis_url: redis,
            gateway_url: None,
            sample_product: None,
            services,
        }
    }

    /// Starts everything in order and says what to try once it answers.
    async fn open(
        &self,
        args: &UpArgs,
        home: &Home,
        supervisor: &Supervisor,
        board: &Board,
        begun: Instant,
    ) -> Result<(), Failure> {
        supervisor.log().say("starting PostgreSQL and Redis");
        self.databases.reach_given().await?;
        self.databases.open(supervisor).await?;
        let prepared = prepare(home, self.databases.urls(), args.empty).await?;
        supervisor.log().say("starting apis and workers");
        // Somebody may have come first meanwhile, and would answer for ours.
        self.programs.iter().try_for_each(|program| ports::check_free(program.port))?;
        try_join_all(self.programs.iter().map(|program| {
            let started = supervisor.start(program.service.clone());
            started.until(async {
                probe::until_ready(&program.address).await;
                Ok(())
            })
        }))
        .await?;
        let state = board.update(|state| {
            state.gateway_url = prepared.gateway_url;
            state.sample_product = prepared.sample_product;
            state.ready = true;
        })?;
        supervisor.log().say(format!("ready after {:.1} s", begun.elapsed().as_secs_f64()));
        output::data(next_steps::text(&state, &args.home.dir, args.detached))?;
        Ok(())
    }
}

/// What the shop holds once it is prepared.
pub(crate) struct Prepared {
    /// A product that can be ordered, unless the shop is empty.
    pub(crate) sample_product: Option<String>,
    /// Where the workers reach the gateway, by the same settings.
    gateway_url: Option<String>,
}

/// Makes the servers ready for apis and workers: brings the schema up to date,
/// makes the first admin, and unless the shop shall be `empty`, a small
/// catalogue. Does nothing where that was done before.
async fn prepare(home: &Home, urls: &Urls, empty: bool) -> Result<Prepared, Failure> {
    let shop = OpenShop::on(urls)?;
    migrate::apply(&shop.pool, shop.production).await?;
    if let SeededAdmin::Created { email, password } = seed::admin(&shop.pool, shop.production).await?
        && shop.production
    {
        hand_over(home, &email, &password)?;
    }
    let sample = if empty { None } else { seed::catalogue(&shop.pool).await? };
    shop.pool.close().await;
    Ok(Prepared { sample_product: sample.map(|product| product.to_string()), gateway_url: shop.gateway_url })
}

/// Gives the password of the first admin of a production shop to a person, and to no log: on the terminal, or else in a file
/// that only its owner may read.
fn hand_over(home: &Home, email: &Email, password: &SecretString) -> Result<(), Failure> {
    let (email, password) = (email.as_str(), password.expose_secret());
    if io::stderr().is_terminal() {
        output::note(format!("admin {email}, password {password} (shown this once)"));
        return Ok(());
    }
    let path = home.admin_password();
    files::write_private(&path, format!("{password}\n").as_bytes())?;
    output::note(password_waits(&path));
    Ok(())
}

/// What to do with the file that holds the password of the first admin.
pub(super) fn password_waits(path: &Path) -> String {
    format!("the password of the first admin is in {}: keep it, and remove the file", path.display())
}
