-- Refunds: what an admin has promised to give back, and when the gateway did. Additive; but a worker that does not
-- know of it buries the jobs of refunds (`jobs dead retry` brings them back), so replace the workers before the apis.

-- One per order. It is written when the refund is asked for, with its job; `refunded_at` when the gateway has said
-- that the money goes back, together with the states of the order and the payment.
CREATE TABLE refunds (
    order_id     uuid CONSTRAINT refunds_one_per_order PRIMARY KEY
                 CONSTRAINT refunds_order_exists REFERENCES orders,
    payment_id   uuid NOT NULL CONSTRAINT refunds_one_per_payment UNIQUE
                 CONSTRAINT refunds_payment_exists REFERENCES payments,
    restock      boolean NOT NULL,
    reason       text CONSTRAINT refunds_reason_length CHECK (char_length(reason) BETWEEN 1 AND 200),
    -- Nothing where an operator asked for it with `shopctl`.
    requested_by uuid CONSTRAINT refunds_requested_by_user_exists REFERENCES users,
    requested_at timestamptz NOT NULL DEFAULT now(),
    refunded_at  timestamptz,
    last_error   text
);

-- Those that are to be done: few among very many.
CREATE INDEX refunds_pending ON refunds (order_id) WHERE refunded_at IS NULL;
