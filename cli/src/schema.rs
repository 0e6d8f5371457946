//! The shapes of what commands print with `-o json`, as a JSON Schema: scripts lean on them, so a test holds the output against it.

use serde_json::{Map, Value, json};
use shop_common::config::Setting;
use shop_common::doctor::Check;
use shop_common::jobs::compare::Comparison;
use shop_common::jobs::history::PastAttempt;
use shop_common::jobs::list::ListedJob;
use shop_common::jobs::stats::{Now, Stats};
use shop_common::jobs::workers::Worker;
use shop_common::migrations::Migration;
use shop_common::orders::Order;
use shop_common::orders::record::{CustomersOrder, OrderRecord};
use shop_common::payments::record::{Payment, PaymentRecord};
use shop_common::products::Product;
use shop_common::products::movements::Movement;
use shop_common::users::directory::UserRecord;
use shop_common::users::queries::Account;
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

use crate::commands::admin::Credentials;
use crate::commands::import::Report;
use crate::commands::jobs::{Drained, PauseReport, PruneReport, ShownJob, Touched};
use crate::commands::keys::ShownKey;
use crate::commands::migrate::Step;
use crate::commands::payments::Audited;
use crate::commands::products::{DeletedProduct, ShownProduct};
use crate::commands::status::StatusReport;
use crate::commands::stock::{Adjusted, ShownStock};
use crate::commands::users::RevokedUser;
use crate::commands::verify::Verified;
use crate::stack::lines::Line;

/// All of them: `commands` has the shape of each command, `components.schemas` what these refer to.
pub(crate) fn document() -> Value {
    let mut shapes = Shapes::default();
    shapes.one::<StatusReport>("status");
    shapes.list::<Line>("logs");
    shapes.list::<Step>("migrate run");
    shapes.list::<Migration>("migrate status");
    shapes.one::<Credentials>("admin seed");
    shapes.one::<Credentials>("admin create");
    shapes.one::<Credentials>("admin password");
    shapes.list::<Product>("products list");
    shapes.one::<ShownProduct>("products show");
    shapes.one::<ShownProduct>("products create");
    shapes.one::<ShownProduct>("products update");
    shapes.one::<DeletedProduct>("products delete");
    shapes.one::<Report>("products import");
    shapes.one::<ShownStock>("stock show");
    shapes.one::<Adjusted>("stock adjust");
    shapes.one::<Adjusted>("stock set");
    shapes.list::<Movement>("stock movements");
    shapes.list::<Product>("stock low");
    shapes.list::<CustomersOrder>("orders list");
    shapes.one::<OrderRecord>("orders show");
    shapes.one::<Order>("orders cancel");
    shapes.one::<Order>("orders refund");
    shapes.list::<Account>("users list");
    shapes.one::<UserRecord>("users show");
    shapes.one::<RevokedUser>("users revoke");
    shapes.one::<ShownKey>("keys rotate");
    shapes.list::<ShownKey>("keys list");
    shapes.one::<ShownKey>("keys retire");
    shapes.one::<Stats>("jobs stats");
    shapes.list::<ListedJob>("jobs list");
    shapes.one::<ShownJob>("jobs show");
    shapes.one::<PauseReport>("jobs pause");
    shapes.one::<PauseReport>("jobs resume");
    shapes.one::<Touched>("jobs retry");
    shapes.one::<Touched>("jobs run-now");
    shapes.one::<Touched>("jobs cancel");
    shapes.one::<Drained>("jobs drain");
    shapes.list::<PastAttempt>("jobs history");
    shapes.one::<Now>("jobs top");
    shapes.one::<PruneReport>("jobs prune");
    shapes.one::<Comparison>("jobs reconcile");
    shapes.list::<Payment>("payments list");
    shapes.one::<PaymentRecord>("payments show");
    shapes.one::<Audited>("payments reconcile");
    shapes.list::<Worker>("workers list");
    shapes.one::<Verified>("verify");
    shapes.list::<Check>("doctor");
    shapes.list::<Setting>("config show");
    shapes.document()
}

/// Collects shapes and what they refer to.
#[derive(Default)]
struct Shapes {
    commands: Map<String, Value>,
    schemas: Vec<(String, RefOr<Schema>)>,
}

impl Shapes {
    /// A command that prints one value.
    fn one<T: ToSchema>(&mut self, command: &str) {
        let shape = self.shape::<T>();
        self.commands.insert(command.to_owned(), shape);
    }

    /// A command that prints a list.
    fn list<T: ToSchema>(&mut self, command: &str) {
        let items = self.shape::<T>();
        self.commands.insert(command.to_owned(), json!({ "type": "array", "items": items }));
    }

    fn shape<T: ToSchema>(&mut self) -> Value {
        let name = T::name().into_owned();
        T::schemas(&mut self.schemas);
        self.schemas.push((name.clone(), T::schema()));
        json!({ "$ref": format!("#/components/schemas/{name}") })
    }

    fn document(self) -> Value {
        let schemas: Map<String, Value> =
            self.schemas.into_iter().map(|(name, schema)| (name, json!(schema))).collect();
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "What shopctl prints with -o json",
            "commands": self.commands,
            "components": { "schemas": schemas },
        })
    }
}
