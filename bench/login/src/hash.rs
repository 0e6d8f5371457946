//! `login hash`: what a login cannot do without, and nothing else.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use secrecy::SecretString;
use shop_common::users::password::{StrongPassword, Verified, hash, verify};
use tokio::process::Command;

/// The password of everybody.
pub(crate) const PASSWORD: &str = "Corr3ct-horse";

/// As a new account's.
pub(crate) fn hashed() -> anyhow::Result<String> {
    let password: StrongPassword = SecretString::from(PASSWORD).try_into()?;
    Ok(hash(&password)?)
}

/// Prints how often a second these threads check a password.
pub(crate) fn run(threads: usize, time: Duration) -> anyhow::Result<()> {
    let (password, hash) = (SecretString::from(PASSWORD), hashed()?);
    let begun = Instant::now();
    let check = || {
        let mut checked = 0_u32;
        while begun.elapsed() < time {
            ensure!(matches!(verify(&password, Some(&hash)), Verified::Yes), "the right password is refused");
            checked += 1;
        }
        Ok(checked)
    };
    let checked: anyhow::Result<Vec<u32>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(check)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| anyhow::bail!("a thread panicked"))).collect()
    });
    println!("{}", f64::from(checked?.iter().sum::<u32>()) / begun.elapsed().as_secs_f64());
    Ok(())
}

/// The same in a process of its own; gives what it prints.
pub(crate) async fn alone(threads: usize, time: Duration) -> anyhow::Result<f64> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["hash", &threads.to_string(), &time.as_secs().to_string()]).kill_on_drop(true);
    let output = command.output().await?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().parse().context("it says no rate")
}
