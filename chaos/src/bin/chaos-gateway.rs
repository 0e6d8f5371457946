//! A payment gateway in a process of its own, with a durable ledger and faults on demand.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use rocket::fairing::AdHoc;
use shop_chaos::gateway;

/// Runs a payment gateway that moves no money, on 127.0.0.1.
#[derive(Debug, Parser)]
struct Args {
    /// File of the ledger: JSON lines, made when it is not there
    #[arg(long, value_name = "FILE")]
    ledger: PathBuf,

    /// Port to listen on; 0 takes a free one
    #[arg(long, value_name = "N", default_value_t = 4000)]
    port: u16,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: chaos-gateway: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> anyhow::Result<()> {
    let announcement = AdHoc::on_liftoff("Announcement", |rocket| {
        let line = serde_json::json!({ "message": "chaos-gateway listens", "port": rocket.config().port });
        println!("{line}");
        Box::pin(async {})
    });
    let server = gateway::server(&args.ledger, args.port)?.attach(announcement);
    server.launch().await.map(drop).map_err(|error| anyhow::anyhow!("{error}"))
}
