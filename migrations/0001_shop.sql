-- The shop's own tables. Money is in minor units (cents), time is timestamptz.
-- Every constraint has a name, because the code maps names to answers.

-- What this database is for: `shopctl migrate reset` refuses a production one.
CREATE TABLE installation (
    only_row    boolean PRIMARY KEY DEFAULT true CONSTRAINT installation_has_one_row CHECK (only_row),
    environment text NOT NULL CONSTRAINT installation_environment_known
                CHECK (environment IN ('development', 'production')),
    created_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE users (
    id            uuid PRIMARY KEY,
    email         text NOT NULL CONSTRAINT users_email_lowercase CHECK (email = lower(email)),
    name          text CONSTRAINT users_name_length CHECK (char_length(name) BETWEEN 1 AND 200),
    password_hash text NOT NULL,
    role          text NOT NULL DEFAULT 'CLIENT' CONSTRAINT users_role_known CHECK (role IN ('ADMIN', 'CLIENT')),
    created_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT users_email_unique UNIQUE (email)
);

CREATE TABLE products (
    id          uuid PRIMARY KEY,
    name        text NOT NULL CONSTRAINT products_name_length CHECK (char_length(name) BETWEEN 1 AND 200),
    description text NOT NULL DEFAULT '' CONSTRAINT products_description_length CHECK (char_length(description) <= 5000),
    price_minor bigint NOT NULL CONSTRAINT products_price_in_range CHECK (price_minor BETWEEN 1 AND 100000000000),
    stock       bigint NOT NULL CONSTRAINT products_stock_not_negative CHECK (stock >= 0),
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    deleted_at  timestamptz
);

CREATE INDEX products_by_name       ON products (name, id)        WHERE deleted_at IS NULL;
CREATE INDEX products_by_price      ON products (price_minor, id) WHERE deleted_at IS NULL;
CREATE INDEX products_by_stock      ON products (stock, id)       WHERE deleted_at IS NULL;
CREATE INDEX products_by_created_at ON products (created_at, id)  WHERE deleted_at IS NULL;
CREATE INDEX products_by_updated_at ON products (updated_at, id)  WHERE deleted_at IS NULL;

-- Every change of stock that is not an order: the first stock, corrections and
-- counts. Orders are not here; their items say what they hold.
CREATE TABLE stock_movements (
    id         uuid PRIMARY KEY,
    product_id uuid NOT NULL CONSTRAINT stock_movements_product_exists REFERENCES products,
    delta      bigint NOT NULL CONSTRAINT stock_movements_delta_not_zero CHECK (delta <> 0),
    reason     text NOT NULL CONSTRAINT stock_movements_reason_length CHECK (char_length(reason) BETWEEN 1 AND 200),
    actor_id   uuid CONSTRAINT stock_movements_actor_exists REFERENCES users,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX stock_movements_by_product ON stock_movements (product_id, id);

CREATE TABLE orders (
    id             uuid PRIMARY KEY,
    user_id        uuid NOT NULL CONSTRAINT orders_user_exists REFERENCES users,
    status         text NOT NULL DEFAULT 'PENDING' CONSTRAINT orders_status_known
                   CHECK (status IN ('PENDING', 'PROCESSING', 'COMPLETED', 'FAILED', 'CANCELLED', 'REFUNDED')),
    total_minor    bigint NOT NULL CONSTRAINT orders_total_in_range CHECK (total_minor BETWEEN 1 AND 999999999999999),
    currency       text NOT NULL CONSTRAINT orders_currency_code CHECK (currency ~ '^[A-Z]{3}$'),
    payment_method text NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX orders_by_user ON orders (user_id, id);
CREATE INDEX orders_open    ON orders (id) WHERE status IN ('PENDING', 'PROCESSING');

-- A product is on one line of an order at most; `price_minor` is the price of
-- the moment of the order.
CREATE TABLE order_items (
    order_id    uuid NOT NULL CONSTRAINT order_items_order_exists REFERENCES orders,
    product_id  uuid NOT NULL CONSTRAINT order_items_product_exists REFERENCES products,
    id          uuid NOT NULL,
    line        smallint NOT NULL,
    quantity    bigint NOT NULL CONSTRAINT order_items_quantity_in_range CHECK (quantity BETWEEN 1 AND 1000000),
    price_minor bigint NOT NULL CONSTRAINT order_items_price_positive CHECK (price_minor > 0),
    PRIMARY KEY (order_id, product_id)
);

-- `open_key` is the key of a charge whose end nobody has recorded yet. While it
-- is set, money may have moved and stock must not be released.
CREATE TABLE payments (
    id           uuid PRIMARY KEY,
    order_id     uuid NOT NULL CONSTRAINT payments_one_per_order UNIQUE
                 CONSTRAINT payments_order_exists REFERENCES orders,
    amount_minor bigint NOT NULL CONSTRAINT payments_amount_positive CHECK (amount_minor > 0),
    currency     text NOT NULL,
    method       text NOT NULL,
    status       text NOT NULL DEFAULT 'PENDING' CONSTRAINT payments_status_known
                 CHECK (status IN ('PENDING', 'COMPLETED', 'FAILED', 'REFUNDED')),
    charge_no    integer NOT NULL DEFAULT 1 CONSTRAINT payments_charge_no_positive CHECK (charge_no > 0),
    open_key     text,
    reference    text,
    last_error   text,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT payments_completed_has_reference CHECK (status <> 'COMPLETED' OR reference IS NOT NULL),
    CONSTRAINT payments_failed_is_closed CHECK (status = 'PENDING' OR open_key IS NULL)
);

-- What came of each claim of a payment's job: one row per claim that was settled.
CREATE TABLE payment_attempts (
    payment_id uuid NOT NULL CONSTRAINT payment_attempts_payment_exists REFERENCES payments,
    claim      integer NOT NULL,
    charge_key text NOT NULL,
    outcome    text NOT NULL,
    code       text,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (payment_id, claim)
);

-- The ledger of jobs: the truth of which Redis holds the schedule.
-- `attempts` counts answers of the gateway, `retries` counts times it was put
-- back, `claims` counts workers that took it (crashes included).
CREATE TABLE jobs (
    id         uuid PRIMARY KEY,
    kind       text NOT NULL,
    version    smallint NOT NULL,
    payload    jsonb NOT NULL,
    order_id   uuid NOT NULL CONSTRAINT jobs_order_exists REFERENCES orders,
    state      text NOT NULL DEFAULT 'scheduled' CONSTRAINT jobs_state_known
               CHECK (state IN ('scheduled', 'running', 'completed', 'dead', 'cancelled')),
    run_at     timestamptz NOT NULL DEFAULT now(),
    attempts   integer NOT NULL DEFAULT 0 CONSTRAINT jobs_attempts_not_negative CHECK (attempts >= 0),
    retries    integer NOT NULL DEFAULT 0 CONSTRAINT jobs_retries_not_negative CHECK (retries >= 0),
    claims     integer NOT NULL DEFAULT 0 CONSTRAINT jobs_claims_not_negative CHECK (claims >= 0),
    token      text,
    boot_id    uuid,
    last_error text,
    request_id text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT jobs_running_has_owner CHECK (state <> 'running' OR (token IS NOT NULL AND boot_id IS NOT NULL))
);

CREATE UNIQUE INDEX jobs_one_live_per_order ON jobs (order_id) WHERE state IN ('scheduled', 'running');
CREATE INDEX jobs_due        ON jobs (run_at, id) WHERE state = 'scheduled';
CREATE INDEX jobs_running    ON jobs (boot_id)    WHERE state = 'running';
CREATE INDEX jobs_by_state   ON jobs (state, id);
CREATE INDEX jobs_by_order   ON jobs (order_id, id);

-- One row per living worker process; a job belongs to the living only.
CREATE TABLE workers (
    boot_id      uuid PRIMARY KEY,
    host         text NOT NULL,
    pid          integer NOT NULL,
    in_hand      integer NOT NULL DEFAULT 0,
    started_at   timestamptz NOT NULL DEFAULT now(),
    heartbeat_at timestamptz NOT NULL DEFAULT now()
);

-- The answer that a key got, kept to be given again byte for byte.
CREATE TABLE idempotency_keys (
    user_id     uuid NOT NULL CONSTRAINT idempotency_keys_user_exists REFERENCES users,
    route       text NOT NULL,
    key         text NOT NULL CONSTRAINT idempotency_keys_key_length CHECK (octet_length(key) BETWEEN 1 AND 255),
    fingerprint bytea NOT NULL,
    status      smallint NOT NULL,
    body        bytea NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, route, key)
);

-- What happened to a user's orders, numbered per user without gaps.
CREATE TABLE event_streams (
    user_id  uuid PRIMARY KEY CONSTRAINT event_streams_user_exists REFERENCES users,
    last_seq bigint NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE events (
    user_id    uuid NOT NULL CONSTRAINT events_user_exists REFERENCES users,
    seq        bigint NOT NULL,
    order_id   uuid NOT NULL CONSTRAINT events_order_exists REFERENCES orders,
    kind       text NOT NULL,
    data       jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, seq)
);
