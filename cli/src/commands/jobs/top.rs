//! `shopctl jobs top`: the jobs as they are now, again and again.

use std::io::{self, IsTerminal, Write};

use crossterm::event::{Event, EventStream, KeyCode, KeyEventKind, KeyModifiers};
use crossterm::style::Print;
use crossterm::terminal::{self, Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen};
use crossterm::{cursor, execute, queue};
use futures::{Stream, StreamExt};
use shop_common::jobs::stats::{self, Now};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use super::frame;
use crate::args::Format;
use crate::args::jobs::JobsTopArgs;
use crate::exit::Failure;
use crate::output;
use crate::shop::{Shop, database};

/// Looks once, or until told to stop where there is a terminal.
pub(super) async fn run(args: &JobsTopArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.shop.home.dir)?;
    let live = io::stdout().is_terminal() && io::stdin().is_terminal() && args.shop.output == Format::Table;
    if args.once || !live {
        let now = look(&shop).await?;
        output::one(args.shop.output, &now, |now| output::data(frame::now(now)))?;
        return Ok(());
    }
    // The first look is before the screen is taken: a server that is away is told of in the usual way. Later on, one
    // that comes back is waited for.
    let mut now = look(&shop).await?;
    let mut trouble = None;
    let mut terminated = signal(SignalKind::terminate())?;
    let mut ticks = interval(args.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    let screen = Screen::take()?;
    let mut keys = EventStream::new();
    loop {
        screen.draw(&now, trouble.as_ref())?;
        tokio::select! {
            _ = ticks.tick() => match stats::now(&shop.pool, shop.lease).await {
                Ok(seen) => (now, trouble) = (seen, None),
                Err(error) => trouble = Some(error),
            },
            redraw = next(&mut keys) => if !redraw { return Ok(()) },
            _ = terminated.recv() => return Ok(()),
        }
    }
}

async fn look(shop: &Shop) -> Result<Now, Failure> {
    stats::now(&shop.pool, shop.lease).await.map_err(database)
}

/// Waits for what concerns us. Gives whether to go on: `q`, Ctrl-C and a terminal that is gone mean no.
async fn next(events: &mut (impl Stream<Item = io::Result<Event>> + Unpin)) -> bool {
    while let Some(Ok(event)) = events.next().await {
        match event {
            Event::Resize(..) => return true,
            Event::Key(key) if key.kind == KeyEventKind::Press => match key.code {
                KeyCode::Char('q') | KeyCode::Esc => return false,
                KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return false,
                _ => {}
            },
            _ => {}
        }
    }
    false
}

/// The terminal, which is given back as it was.
struct Screen;

impl Screen {
    fn take() -> io::Result<Self> {
        terminal::enable_raw_mode()?;
        let screen = Self;
        execute!(io::stdout(), EnterAlternateScreen, cursor::Hide)?;
        Ok(screen)
    }

    /// Draws what fits of what was seen last, and why nothing was seen since.
    fn draw(&self, now: &Now, trouble: Option<&sqlx::Error>) -> io::Result<()> {
        let (columns, rows) = terminal::size()?;
        let mut stdout = io::stdout().lock();
        queue!(stdout, cursor::MoveTo(0, 0))?;
        let heading = format!("shopctl jobs top   {} UTC   q to leave", output::time(&now.at));
        let trouble = trouble.map(|error| format!("PostgreSQL does not answer: {error}")).unwrap_or_default();
        let text = format!("{heading}\n{trouble}\n{}", frame::now(now));
        for line in text.lines().take(rows.saturating_sub(1).into()) {
            let line: String = line.chars().take(columns.into()).collect();
            queue!(stdout, Print(line), Clear(ClearType::UntilNewLine), cursor::MoveToNextLine(1))?;
        }
        queue!(stdout, Clear(ClearType::FromCursorDown))?;
        stdout.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Nothing can be told any more when this fails.
        let _ = execute!(io::stdout(), cursor::Show, LeaveAlternateScreen);
        let _ = terminal::disable_raw_mode();
    }
}
