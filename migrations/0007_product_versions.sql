-- Versions of products, the timeline of an order, idempotency keys that grow old.
-- Additive: a program that does not know of it goes on as before, but its edits raise no version.

-- How often a product was edited, the first time included. With the stock it is the product's entity tag.
ALTER TABLE products
    ADD COLUMN version bigint NOT NULL DEFAULT 1 CONSTRAINT products_version_positive CHECK (version > 0);

-- Not CONCURRENTLY (rule 5): nothing was released before this file, so there is no shop whose keys and events could
-- make anybody wait.

-- For what is forgotten when it is old.
CREATE INDEX idempotency_keys_by_created_at ON idempotency_keys (created_at);

-- The events of one order, of a customer who may have had millions of others.
CREATE INDEX events_by_order ON events (order_id, seq);
