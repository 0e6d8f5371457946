//! `shopctl config`: the settings that hold, and where they come from.

use shop_common::config::{self, ConfigError, Setting};

use crate::args::ShopArgs;
use crate::args::config::ConfigCommand;
use crate::exit::Failure;
use crate::output;
use crate::settings::{Here, refused};

/// `shopctl config …`.
pub(crate) fn run(command: ConfigCommand) -> Result<(), Failure> {
    match command {
        ConfigCommand::Show(args) => show(&args),
    }
}

/// Lists all settings, and names those that nobody reads.
fn show(args: &ShopArgs) -> Result<(), Failure> {
    let here = Here::look(&args.home.dir).map_err(refused)?;
    let settings = config::all(&here.figment).map_err(refused)?;
    let row = |setting: &Setting| {
        let value = match &setting.value {
            serde_json::Value::Null => "-".to_owned(),
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        [setting.key.clone(), value, setting.origin.to_string()]
    };
    output::list(args.output, &settings, ["KEY", "VALUE", "FROM"], row)?;
    output::note(format!("the profile is {}", here.figment.profile()));
    match config::check(&here.figment) {
        Ok(()) => Ok(()),
        Err(ConfigError::Unknown(keys)) => {
            keys.iter().for_each(|key| output::note(format!("warning: {key}")));
            Ok(())
        }
        Err(error) => {
            output::note(format!("warning: {error}"));
            Ok(())
        }
    }
}
