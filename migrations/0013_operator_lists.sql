-- What operators list and look up: users, everybody's orders, payments, and what audits found about one.
-- Additive: a program that does not know of it goes on as before.
-- Not CONCURRENTLY (rule 5): nothing was released before this file, so there is no shop that could be kept waiting.

CREATE INDEX users_by_role           ON users (role, id);
-- For a part of an email, wherever in it that is.
CREATE INDEX users_by_email_likeness ON users USING gin (email gin_trgm_ops);

CREATE INDEX orders_by_created_at ON orders (created_at, id);
CREATE INDEX orders_by_total      ON orders (total_minor, id);
-- COMPLETED are most, and are met soon on the way through all; those that are open have an index.
CREATE INDEX orders_come_to_nothing ON orders (status, id) WHERE status IN ('FAILED', 'CANCELLED', 'REFUNDED');

CREATE INDEX payments_by_created_at ON payments (created_at, id);
CREATE INDEX payments_by_method     ON payments (method, id);
CREATE INDEX payments_not_completed ON payments (status, id) WHERE status IN ('PENDING', 'FAILED', 'REFUNDED');

CREATE INDEX gateway_audit_findings_by_payment ON gateway_audit_findings (payment_id, created_at);
