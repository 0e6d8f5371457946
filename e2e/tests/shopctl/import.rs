//! `shopctl products import` and `export`, with real processes, pipes and terminals.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use shop_common::db::{self, MIGRATOR};
use shop_e2e::eventually;
use shop_testkit::Shop;
use shop_testkit::binaries::Environment;
use sqlx::PgPool;
use tempfile::TempDir;

use crate::run::{json as checked, shopctl, stderr, stdout, tempdir};

const HEADER: &str = "sku,name,description,price,stock\n";

/// A shop, and a folder for files.
struct Desk {
    environment: Environment,
    pool: PgPool,
    folder: TempDir,
}

impl Desk {
    fn new(pool: PgPool) -> Self {
        Self { environment: Environment::new(&pool), pool, folder: tempdir() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file with those lines.
    fn file(&self, text: &str) -> String {
        let path = self.path("spring.csv");
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn import(&self, text: &str, options: &[&str]) -> crate::run::Done {
        let file = self.file(text);
        shopctl(&self.environment, &[&["products", "import", &file][..], options].concat())
    }

    /// The catalogue, as an export has it.
    fn exported(&self) -> String {
        let output = shopctl(&self.environment, &["products", "export"]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        stdout(&output)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.environment.command("shopctl");
        command.args(arguments).current_dir(self.folder.path());
        command
    }

    async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.unwrap()
    }

    /// Waits until an import has its tables, or has them no more.
    async fn staging_becomes(&self, there: bool) {
        eventually("an import comes or goes", async || {
            let tables = self.count("SELECT count(*) FROM pg_class WHERE relname = 'import_lines'").await;
            (tables > 0) == there
        })
        .await;
    }
}

fn interrupt(child: &Child) {
    kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGINT).unwrap();
}

fn says(output: &Output, what: &str) {
    assert!(stderr(output).contains(what), "{}", stderr(output));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_file_is_imported_and_comes_back_byte_for_byte(pool: PgPool) {
    let desk = Desk::new(pool);
    let text = HEADER.to_owned()
        + "MUG,\"Mug, \"\"large\"\"\",\"Two\r\nlines\",12.50,3\n,Tea towel,,8.00,0\nA-1,Übertopf,,0.01,1\n";

    let summary = checked(&desk.import(&text, &["-o", "json"]));
    assert_eq!(
        summary,
        json!({ "read": 3, "inserted": 3, "updated": 0, "unchanged": 0, "refused": 0, "passedOver": 0, "dryRun": false })
    );
    assert_eq!(desk.exported(), text);
    let copy = desk.path("copy.csv");
    let done = shopctl(&desk.environment, &["products", "export", copy.to_str().unwrap()]);
    says(&done, "3 products are in");
    assert_eq!((stdout(&done), fs::read_to_string(&copy).unwrap()), (String::new(), text));
    assert_eq!(fs::read_dir(desk.folder.path()).unwrap().count(), 2, "nothing else is left there");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn one_bad_line_keeps_all_others_out_and_is_named(pool: PgPool) {
    let desk = Desk::new(pool);
    let text = HEADER.to_owned() + "A,Apron,,5,1\r\nB,,,5,1\r\nC,Cup,,nought,1\r\nA,Again,,1,1\r\nD,Dish,,1\r\n";

    let refused = desk.import(&text, &[]);
    assert_eq!(refused.status.code(), Some(4));
    for line in [
        "line 3: name: a product's name must have 1 to 200 characters",
        "line 4: price: it must be a number with at most two decimals, for example 19.99",
        "line 5: sku: line 2 has the same",
        "line 6: it has 4 fields, the header has 5",
        "error: 4 of 5 lines are refused; nothing was changed",
        "next: correct them, or pass over them with --skip-invalid",
    ] {
        says(&refused, line);
    }
    assert_eq!(desk.exported(), HEADER);

    let skipped = desk.import(&text, &["--skip-invalid", "-o", "jsonl"]);
    assert_eq!((skipped.status.code(), stderr(&skipped)), (Some(0), String::new()));
    let lines: Vec<Value> = stdout(&skipped).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 5);
    assert_eq!(
        lines[0],
        json!({ "line": 3, "column": "name", "reason": "a product's name must have 1 to 200 characters" })
    );
    assert_eq!((&lines[4]["inserted"], &lines[4]["refused"]), (&json!(1), &json!(4)));
    assert_eq!(desk.exported(), HEADER.to_owned() + "A,Apron,,5.00,1\n");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_file_that_is_none_of_products_is_refused_with_the_reason(pool: PgPool) {
    let desk = Desk::new(pool);
    for (text, reason) in [
        ("", "the file is empty"),
        ("sku,name,price,colour\n", "there is no column `colour`"),
        ("sku,price\n", "the column `name` is missing"),
        ("Handle,Title,Variant SKU\n", "the column `Variant Price` is missing"),
    ] {
        let refused = desk.import(text, &[]);
        assert_eq!(refused.status.code(), Some(4), "{text:?}");
        says(&refused, reason);
    }
    assert_eq!(shopctl(&desk.environment, &["products", "import", "no-such.csv"]).status.code(), Some(3));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_export_of_shopify_is_taken_as_it_is(pool: PgPool) {
    let desk = Desk::new(pool);
    let text = "\u{feff}Handle,Title,Body (HTML),Option1 Name,Option1 Value,Variant SKU,Variant Inventory Qty,Variant Price,Image Src,Status\r\n\
        shirt,Shirt,<p>Soft.</p>,Size,M,SH-M,5,19.90,1.jpg,active\r\n\
        shirt,,,,L,SH-L,0,21.00,,\r\n\
        shirt,,,,,,,,2.jpg,\r\n\
        mug,Mug,,Title,Default Title,,,7.00,,active\r\n";

    let summary = checked(&desk.import(text, &["-o", "json"]));

    assert_eq!((&summary["inserted"], &summary["passedOver"]), (&json!(3), &json!(1)));
    let rows = "SH-M,Shirt – M,<p>Soft.</p>,19.90,5\nSH-L,Shirt – L,<p>Soft.</p>,21.00,0\n,Mug,,7.00,0\n";
    assert_eq!(desk.exported(), HEADER.to_owned() + rows);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn products_that_are_there_are_changed_only_with_consent(pool: PgPool) {
    let desk = Desk::new(pool.clone());
    let (first, second) = ("A,Apron,,5.00,1\n", "A,Apron,,6.00,4\nB,Bowl,,1.00,1\n");
    desk.import(&(HEADER.to_owned() + first), &[]);
    let text = HEADER.to_owned() + second;

    let taken = desk.import(&text, &[]);
    assert_eq!(taken.status.code(), Some(4));
    says(&taken, "line 2: sku: a product of the shop has it already");

    let asked = desk.import(&text, &["--update"]);
    assert_eq!(asked.status.code(), Some(4), "nobody was there to answer");
    says(&asked, "This changes 1 products, adds 1, and leaves 0 as they are.");
    let tried = desk.import(&text, &["--update", "--dry-run"]);
    assert_eq!(tried.status.code(), Some(0));
    says(&tried, "this was a dry run: nothing was changed");
    assert_eq!(desk.exported(), HEADER.to_owned() + first);

    assert_eq!(desk.import(&text, &["--update", "--reason", "stocktaking", "--yes"]).status.code(), Some(0));
    assert_eq!(desk.exported(), text);
    let reasons: Vec<String> =
        sqlx::query_scalar("SELECT reason FROM stock_movements ORDER BY id").fetch_all(&pool).await.unwrap();
    assert_eq!(reasons, ["initial stock", "stocktaking", "initial stock"]);
    let again = desk.import(&text, &["--update"]);
    assert_eq!(again.status.code(), Some(0), "where nothing changes, nobody need be asked");
    Shop::new(pool).assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn in_production_a_change_is_confirmed_by_name_and_an_addition_is_not(pool: PgPool) {
    sqlx::query("DELETE FROM installation").execute(&pool).await.unwrap();
    db::mark_environment(&pool, true).await.unwrap();
    let name = db::installation(&pool).await.unwrap().database;
    let desk = Desk::new(pool);
    let text = HEADER.to_owned() + "A,Apron,,5.00,1\n";
    assert_eq!(desk.import(&text, &[]).status.code(), Some(0));

    let dearer = text.replace("5.00", "6.00");
    let refused = desk.import(&dearer, &["--update", "--yes"]);
    assert_eq!(refused.status.code(), Some(4));
    says(&refused, "marked production");
    assert_eq!(desk.exported(), text);
    assert_eq!(desk.import(&dearer, &["--update", "--confirm", &name]).status.code(), Some(0));
    assert_eq!(desk.exported(), dearer);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn ctrl_c_while_the_file_is_read_leaves_nothing(pool: PgPool) {
    let desk = Desk::new(pool);
    let mut command = desk.command(&["products", "import", "-"]);
    let mut import = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = import.stdin.take().unwrap();
    // More than is read ahead, so that some of it is in the database; and more is to come.
    stdin.write_all(HEADER.as_bytes()).unwrap();
    for n in 0..60_000 {
        writeln!(stdin, "SKU-{n},Product {n},{},1.00,1", "x".repeat(100)).unwrap();
    }
    desk.staging_becomes(true).await;

    interrupt(&import);
    let output = import.wait_with_output().unwrap();

    assert_eq!((output.status.code(), stdout(&output)), (Some(130), String::new()));
    says(&output, "stopped; nothing was changed");
    drop(stdin);
    desk.staging_becomes(false).await;
    assert_eq!(desk.exported(), HEADER);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn ctrl_c_while_products_are_written_leaves_nothing(pool: PgPool) {
    let desk = Desk::new(pool.clone());
    let before = HEADER.to_owned() + "A,Apron,,5.00,1\n";
    desk.import(&before, &[]);
    let file = desk.file(&(HEADER.to_owned() + "A,Apron,,6.00,1\nB,Bowl,,1.00,1\n"));
    // Somebody has the product in hand, so that the import cannot come to its end.
    let mut held = pool.begin().await.unwrap();
    sqlx::query("SELECT FROM products FOR UPDATE").execute(&mut *held).await.unwrap();
    let mut command = desk.command(&["products", "import", "--update", "--yes", &file]);
    let import = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    eventually("the import waits for the product", async || {
        let waits =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        desk.count(waits).await > 0
    })
    .await;

    interrupt(&import);
    let output = import.wait_with_output().unwrap();
    // Without its client, PostgreSQL does not wait on.
    desk.staging_becomes(false).await;
    held.rollback().await.unwrap();

    assert_eq!(output.status.code(), Some(130));
    says(&output, "stopped; nothing was changed");
    assert_eq!(desk.exported(), before);
    Shop::new(pool).assert_sound().await;
}

/// A command on a terminal, and what it has shown.
struct Terminal {
    child: Child,
    keyboard: File,
    screen: Arc<Mutex<String>>,
}

impl Terminal {
    fn run(mut command: Command) -> Self {
        let size = Winsize { ws_row: 24, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(&size, None).unwrap();
        let own = || Stdio::from(pty.slave.try_clone().unwrap());
        let child = command.stdin(own()).stdout(own()).stderr(own()).spawn().unwrap();
        let mut master = File::from(pty.master);
        let (keyboard, screen) = (master.try_clone().unwrap(), Arc::new(Mutex::new(String::new())));
        let shown = Arc::clone(&screen);
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = master.read(&mut bytes) {
                shown.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..read]));
            }
        });
        Self { child, keyboard, screen }
    }

    async fn shows(&self, what: &str) {
        eventually(&format!("the terminal shows {what:?}"), async || self.screen.lock().unwrap().contains(what)).await;
    }
}

/// A file with one product that is another than in the shop, and the shop.
async fn one_change(pool: PgPool) -> (Desk, String) {
    let desk = Desk::new(pool);
    desk.import(&(HEADER.to_owned() + "A,Apron,,5.00,1\n"), &[]);
    let file = desk.file(&(HEADER.to_owned() + "A,Apron,,6.00,1\n"));
    (desk, file)
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn on_a_terminal_there_is_a_bar_and_a_question(pool: PgPool) {
    let (desk, file) = one_change(pool).await;
    let mut terminal = Terminal::run(desk.command(&["products", "import", "--update", &file]));

    terminal.shows("reading").await;
    terminal.shows("This changes 1 products, adds 0, and leaves 0 as they are. Go on? [y/N]").await;
    terminal.keyboard.write_all(b"y\n").unwrap();

    assert_eq!(terminal.child.wait().unwrap().code(), Some(0));
    terminal.shows("UPDATED").await;
    assert_eq!(desk.exported(), HEADER.to_owned() + "A,Apron,,6.00,1\n");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn ctrl_c_is_an_answer_to_the_question_too(pool: PgPool) {
    let (desk, file) = one_change(pool).await;
    let mut terminal = Terminal::run(desk.command(&["products", "import", "--update", &file]));
    terminal.shows("Go on? [y/N]").await;

    interrupt(&terminal.child);

    assert_eq!(terminal.child.wait().unwrap().code(), Some(130));
    terminal.shows("stopped; nothing was changed").await;
    assert_eq!(desk.exported(), HEADER.to_owned() + "A,Apron,,5.00,1\n");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_export_that_cannot_be_written_leaves_the_file_of_before(pool: PgPool) {
    let desk = Desk::new(pool);
    let nowhere = desk.path("no-such-folder/products.csv");
    let failed = shopctl(&desk.environment, &["products", "export", nowhere.to_str().unwrap()]);
    assert_eq!(failed.status.code(), Some(1));
    says(&failed, "next: name a file in a folder that is there");
    assert!(!Path::new(&nowhere).exists());
}
