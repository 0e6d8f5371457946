-- The simulated payment gateway's own books. They stand for another company's
-- database: nothing here refers to the shop's tables, and the shop's
-- transactions never write here, so that double charges can be counted from outside.
CREATE SCHEMA simulated_gateway;

-- One row per idempotency key that the gateway has ever seen.
CREATE TABLE simulated_gateway.charges (
    key          text PRIMARY KEY,
    payment      text NOT NULL,
    amount_minor bigint NOT NULL,
    currency     text NOT NULL,
    method       text NOT NULL,
    calls        integer NOT NULL DEFAULT 0,
    state        text NOT NULL CONSTRAINT charges_state_known
                 CHECK (state IN ('open', 'captured', 'declined', 'voided', 'refunded')),
    code         text,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX charges_by_payment ON simulated_gateway.charges (payment);
