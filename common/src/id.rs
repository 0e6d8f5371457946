//! Identifiers: one type per thing that has one, so that they cannot be mixed up.
//!
//! All are UUIDv7, made in the process and not by the database, so that the answer
//! to a lost COMMIT can be looked up by them. They sort by time of making.

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash,
            serde::Serialize, serde::Deserialize, sqlx::Type, utoipa::ToSchema,
        )]
        #[serde(transparent)]
        #[sqlx(transparent)]
        pub struct $name(pub uuid::Uuid);

        impl $name {
            /// A new one, later than all that this process has made before.
            #[allow(clippy::new_without_default, reason = "a fresh id is no default")]
            pub fn new() -> Self {
                Self(uuid::Uuid::now_v7())
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

id!(
    /// A customer or an operator.
    UserId
);
id!(
    /// A time for which a user is logged in.
    SessionId
);
id!(
    /// A product.
    ProductId
);
id!(
    /// A change of a stock.
    MovementId
);
id!(
    /// An order.
    OrderId
);
id!(
    /// A line of an order.
    OrderItemId
);
id!(
    /// The payment of an order.
    PaymentId
);
id!(
    /// A job.
    JobId
);
id!(
    /// One life of a worker process.
    BootId
);
id!(
    /// A comparison of the gateway's ledger with the payments.
    AuditId
);
