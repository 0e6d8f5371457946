//! Migrations that race, die in the middle, or are ahead of the programs.

use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use tokio::time::{Instant, sleep};

use super::Scene;

/// A version that no migration of ours will reach soon.
const AHEAD: i64 = 9999;

/// F11.
pub(super) async fn race(scene: Scene, mut rng: StdRng) -> anyhow::Result<()> {
    let mut n = 0;
    while scene.goes_on() {
        n += 1;
        let database = format!("migrated_{}_{n}", rng.random::<u32>());
        two_at_once(&scene, &mut rng, &database).await?;
        one_ahead(&scene, &mut rng).await?;
        scene.tally.add("migration races", 1);
    }
    Ok(())
}

/// Two migrations of an empty database, one of them killed; whoever comes then finds it whole or makes it so.
async fn two_at_once(scene: &Scene, rng: &mut StdRng, database: &str) -> anyhow::Result<()> {
    let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {database}"));
    sqlx::query(create).execute(&scene.stage.pool).await?;
    let migrate = || {
        let mut command = scene.stage.shopctl(&["migrate", "run"]);
        command.env("DATABASE_URL", scene.stage.postgres.url_of(database));
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        command
    };
    let (mut killed, mut other) = (migrate().spawn()?, migrate().spawn()?);
    // Its session is there, so it is in the middle of it, or waits for the other one.
    let deadline = Instant::now() + Duration::from_secs(5);
    while sessions(scene, database).await? < 2 && Instant::now() < deadline {
        sleep(Duration::from_millis(1)).await;
    }
    sleep(Duration::from_millis(rng.random_range(0..20))).await;
    scene.tally.add("migrations killed", u64::from(killed.try_wait()?.is_none()));
    killed.kill().await?;
    let other = other.wait().await?;
    let again = migrate().output().await?;
    if !other.success() || !again.status.success() {
        let said = String::from_utf8_lossy(&again.stderr).into_owned();
        scene.load.journal.violation(format!("F11 migrations left with {other} and {}: {said}", again.status));
    }
    let drop = sqlx::AssertSqlSafe(format!("DROP DATABASE {database}"));
    sqlx::query(drop).execute(&scene.stage.pool).await?;
    Ok(())
}

async fn sessions(scene: &Scene, database: &str) -> anyhow::Result<i64> {
    Ok(sqlx::query_scalar("SELECT count(*) FROM pg_stat_activity WHERE datname = $1")
        .bind(database)
        .fetch_one(&scene.stage.pool)
        .await?)
}

/// Under load the schema goes one additive migration ahead; the programs go on, and start on it.
async fn one_ahead(scene: &Scene, rng: &mut StdRng) -> anyhow::Result<()> {
    let mut migration = scene.stage.pool.begin().await?;
    sqlx::query("SET LOCAL lock_timeout = '5s'").execute(&mut *migration).await?;
    sqlx::query("ALTER TABLE orders ADD COLUMN IF NOT EXISTS of_a_newer_version text").execute(&mut *migration).await?;
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES ($1, 'of a newer version', true, '', 0)",
    )
    .bind(AHEAD)
    .execute(&mut *migration)
    .await?;
    migration.commit().await?;

    let accepted = scene.load.journal.accepted();
    let node = if rng.random_bool(0.5) { &scene.stage.apis[0] } else { &scene.stage.workers[0] };
    node.program.start(&[])?;
    scene.stage.serves(node).await?;
    let deadline = Instant::now() + Duration::from_secs(10);
    while scene.load.journal.accepted() == accepted {
        if Instant::now() > deadline {
            scene.load.journal.violation("F11 no order was accepted on a schema that is ahead".to_owned());
            break;
        }
        sleep(Duration::from_millis(20)).await;
    }
    let output = scene.stage.shopctl(&["migrate", "run"]).output().await?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        scene.load.journal.violation(format!("F11 an older shopctl does not get along with a newer schema: {said}"));
    }

    let mut back = scene.stage.pool.begin().await?;
    sqlx::query("DELETE FROM _sqlx_migrations WHERE version = $1").bind(AHEAD).execute(&mut *back).await?;
    sqlx::query("ALTER TABLE orders DROP COLUMN of_a_newer_version").execute(&mut *back).await?;
    back.commit().await?;
    Ok(())
}
