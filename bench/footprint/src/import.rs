//! A catalogue from a file, beside `COPY` of the same products into the same table.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use shop_bench_kit::process;
use shop_bench_kit::report::Report;
use shop_bench_kit::shop::Shop;
use shop_common::id::ProductId;
use shop_common::verify::Ledger;
use tokio::time::timeout;

use crate::Args;
use crate::measure::SHOPCTL;
use crate::memory::{AT_MOST, mib};

/// How fast it is.
pub(crate) const RATE: &str = "rows/s";
/// The rival.
pub(crate) const COPY: &str = "COPY";
/// How often the memory is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// Words of a name and of a description, of so many that there are.
const NAME: usize = 3;
const DESCRIPTION: usize = 12;
const WORDS: f64 = 20_000.0;
/// Pieces of the file that are sent at once, as an import does.
const PIECE: usize = 1 << 20;

/// Imports, and then copies into a second shop.
pub(crate) async fn both(args: &Args, work: &str, shop: &Shop, report: &mut Report) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (catalogue, table) = (folder.path().join("catalogue.csv"), folder.path().join("table.csv"));
    write(args.rows.get(), &catalogue, &table)?;
    let rate = |took: Duration| args.rows.get() as f64 / took.as_secs_f64();

    shop.run("CHECKPOINT").await?;
    let (took, memory) = import(args, shop, &catalogue).await?;
    ensure!(products(shop).await? == args.rows.get(), "not all products are there");
    shop.verify(Ledger::Elsewhere).await?;
    report.add(work, SHOPCTL, RATE, rate(took));
    report.add(work, SHOPCTL, AT_MOST, mib(memory));

    let second = Shop::open(&args.options).await?;
    let copied = async {
        second.run("CHECKPOINT").await?;
        let took = copy(&second, &table).await?;
        ensure!(products(&second).await? == args.rows.get(), "not all products are there");
        anyhow::Ok(took)
    }
    .await;
    second.close().await?;
    report.add(work, COPY, RATE, rate(copied?));
    Ok(())
}

/// Runs `shopctl products import`; gives how long that took, and the most memory that it had.
async fn import(args: &Args, shop: &Shop, catalogue: &Path) -> anyhow::Result<(Duration, f64)> {
    let mut command = shop.program(&args.options.program(SHOPCTL)?, &[]);
    command.args(["products", "import"]).arg(catalogue).stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
    let begun = Instant::now();
    let mut child = command.spawn()?;
    let pid = child.id().context("it has no process id")?;
    let mut most: f64 = 0.0;
    let status = loop {
        match timeout(LOOK, child.wait()).await {
            Ok(status) => break status?,
            // Where it has just ended there is nothing to see.
            Err(_) => most = most.max(process::peak(pid).unwrap_or_default()),
        }
    };
    let took = begun.elapsed();
    ensure!(status.success(), "the import has ended with {status}");
    Ok((took, most))
}

/// Copies the table as it is. Unlike the import, it checks nothing, and it writes no movements of stock.
async fn copy(shop: &Shop, table: &Path) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let mut connection = shop.pool.acquire().await?;
    let into = "COPY products (id, sku, name, description, price_minor, stock) FROM STDIN (FORMAT csv)";
    let mut copy = connection.copy_in_raw(into).await?;
    let mut file = File::open(table)?;
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece)? {
            0 => break,
            read => copy.send(&piece[..read]).await?,
        };
    }
    copy.finish().await?;
    Ok(begun.elapsed())
}

async fn products(shop: &Shop) -> anyhow::Result<usize> {
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM products").fetch_one(&shop.pool).await?;
    Ok(usize::try_from(count)?)
}

/// Writes the same products twice: as the shop's files have them, and as the table has them.
fn write(rows: usize, catalogue: &Path, table: &Path) -> anyhow::Result<()> {
    let (mut catalogue, mut table) = (BufWriter::new(File::create(catalogue)?), BufWriter::new(File::create(table)?));
    let mut drawn = Drawn(1);
    writeln!(catalogue, "sku,name,description,price,stock")?;
    for row in 0..rows {
        let (name, description) = (drawn.text(NAME), drawn.text(DESCRIPTION));
        let (cents, stock) = (1 + drawn.below(100_000.0), 1 + row % 500);
        writeln!(catalogue, "SKU-{row},{name},{description},{}.{:02},{stock}", cents / 100, cents % 100)?;
        writeln!(table, "{},SKU-{row},{name},{description},{cents},{stock}", ProductId::new())?;
    }
    catalogue.flush()?;
    Ok(table.flush()?)
}

/// Numbers that look as if drawn, and are the same in each run: a linear congruential generator (Knuth, The Art of
/// Computer Programming 2, 3.3.4), of which the upper bits are taken.
struct Drawn(u64);

impl Drawn {
    /// From 0 to 1.
    fn share(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as f64 / (1_u64 << 31) as f64
    }

    fn below(&mut self, limit: f64) -> usize {
        (self.share() * limit) as usize
    }

    /// So many words, common ones more often than rare ones.
    fn text(&mut self, words: usize) -> String {
        let words: Vec<String> = (0..words).map(|_| word(WORDS.powf(self.share()) as usize)).collect();
        words.join(" ")
    }
}

/// The word of that number.
fn word(mut number: usize) -> String {
    const SYLLABLES: [&str; 30] = [
        "ba", "ce", "di", "fo", "gu", "ka", "le", "mi", "po", "nu", "ra", "se", "ti", "vo", "wu", "kel", "ton", "mir",
        "san", "bar", "den", "fol", "gum", "rak", "pel", "dal", "ver", "lin", "mos", "tur",
    ];
    let mut word = String::from("ma");
    while number > 0 {
        word.push_str(SYLLABLES[number % SYLLABLES.len()]);
        number /= SYLLABLES.len();
    }
    word
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::fs;

    use super::*;

    #[test]
    fn both_files_have_the_same_products() {
        let folder = tempfile::tempdir().unwrap();
        let (catalogue, table) = (folder.path().join("a"), folder.path().join("b"));
        write(50, &catalogue, &table).unwrap();
        let (catalogue, table) = (fs::read_to_string(catalogue).unwrap(), fs::read_to_string(table).unwrap());
        assert_eq!(catalogue.lines().count(), 51);
        for (line, row) in catalogue.lines().skip(1).zip(table.lines()) {
            let (line, row): (Vec<_>, Vec<_>) = (line.split(',').collect(), row.split(',').skip(1).collect());
            assert_eq!(line[..3], row[..3]);
            assert_eq!((line[3].replace('.', "").trim_start_matches('0'), line[4]), (row[3], row[4]));
        }
    }

    #[test]
    fn words_differ() {
        assert_eq!((0..20_000).map(word).collect::<HashSet<_>>().len(), 20_000);
    }
}
