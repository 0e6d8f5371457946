//! The rival `pgbench`: the very statements of a claim and of a settlement, of 100 jobs at a time, on the same tables.
//!
//! It is given everything that a worker has to find out and to decide: which jobs there are, what belongs to them and what is
//! told of them lies ready in a table, batch by batch, and comes to it with one more statement.

use chrono::Utc;
use shop_bench_kit::pgbench;
use shop_bench_kit::shop::Shop;

use crate::fill::{Placed, write_jobs};

/// Jobs in one transaction: as many as a worker claims at most.
const BATCH: usize = 100;

/// Writes the jobs of these orders, and puts them into batches.
pub(crate) async fn prepare(shop: &Shop, placed: &Placed) -> anyhow::Result<()> {
    write_jobs(shop, placed, &vec![Utc::now(); placed.jobs.len()]).await?;
    shop.run(TABLES).await?;
    sqlx::query(BATCHES)
        .bind(&placed.jobs)
        .bind(&placed.orders)
        .bind(&placed.payments)
        .bind(&placed.customers)
        .bind(i64::try_from(BATCH)?)
        .execute(&shop.pool)
        .await?;
    shop.run("ANALYZE rival.batches").await
}

/// Does so many jobs that were prepared, on so many connections. Gives the jobs a second.
pub(crate) async fn run(shop: &Shop, clients: usize, jobs: usize) -> anyhow::Result<f64> {
    let ran = pgbench::times(&shop.url, SCRIPT, clients, jobs / BATCH / clients).await?;
    Ok(ran.per_second * BATCH as f64)
}

/// Each row is a batch; each list is what one of the parameters of a statement takes.
const TABLES: &str = "
    DROP SCHEMA IF EXISTS rival CASCADE;
    CREATE SCHEMA rival;
    CREATE SEQUENCE rival.next;
    CREATE TABLE rival.batches (
        n bigint PRIMARY KEY, jobs uuid[], tokens text[], orders uuid[], payments uuid[], customers uuid[],
        kinds text[], told text[], states text[], statuses text[], zeros float8[], ones integer[], nulls text[],
        trues boolean[], refs text[], keys text[], outcomes text[],
        end_customers uuid[], end_orders uuid[], end_kinds text[], end_told text[]
    );";

const BATCHES: &str = r#"
    INSERT INTO rival.batches
    SELECT 1 + (n - 1) / $5, array_agg(job), array_agg('0198c5a0-0000-7000-8000-000000000000-' || n), array_agg(order_id),
           array_agg(payment), array_agg(customer), array_agg(text 'order.status'), array_agg(text '{"status": "PROCESSING"}'),
           array_agg(text 'completed'), array_agg(text 'COMPLETED'), array_agg(0), array_agg(1), array_agg(NULL::text),
           array_agg(true), array_agg(text 'instant'), array_agg(payment || ':1'), array_agg(text 'approved'),
           array_agg(customer) || array_agg(customer), array_agg(order_id) || array_agg(order_id),
           array_agg(text 'payment.status') || array_agg(text 'order.status'),
           array_agg(jsonb_build_object(
               'orderId', order_id, 'paymentId', payment, 'amount', 12.5, 'currency', 'USD', 'paymentMethod', 'pm_sim_success',
               'status', 'COMPLETED', 'attempt', 1, 'nextAttemptAt', NULL, 'error', NULL, 'createdBy', customer)::text)
           || array_agg(text '{"status": "COMPLETED"}')
    FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[])
         WITH ORDINALITY AS t (job, order_id, payment, customer, n)
    GROUP BY 1"#;

/// Copies of the statements of `claim` and `settle` in `shop_common::orders`, in their order: to be changed with them.
const SCRIPT: &str = "
SELECT * FROM rival.batches WHERE n = (SELECT nextval('rival.next')) \\gset
BEGIN;
WITH takeable AS (
    SELECT j.id, w.token, j.state = 'running' AS taken_over
    FROM jobs j JOIN unnest(:jobs::uuid[], :tokens::text[]) AS w (id, token) USING (id)
    WHERE NOT EXISTS (SELECT FROM queue_pause FOR KEY SHARE)
      AND (j.state IS NOT DISTINCT FROM 'scheduled' AND j.run_at <= now() + 1 * interval '1 second'
           OR j.state IS NOT DISTINCT FROM 'running' AND NOT EXISTS (
               SELECT FROM workers k
               WHERE k.boot_id = j.boot_id AND k.heartbeat_at > now() - 15 * interval '1 second'))
    ORDER BY j.id FOR NO KEY UPDATE OF j SKIP LOCKED
)
UPDATE jobs j
SET state = 'running', token = t.token, boot_id = '0198c5a0-0000-7000-8000-000000000000', claims = claims + 1,
    updated_at = now()
FROM takeable t WHERE j.id = t.id
RETURNING j.id, j.token, j.kind, j.version, j.payload, j.order_id, j.attempts, j.claims, j.retries, j.request_id,
          j.traceparent, j.tracestate, j.give_up, extract(epoch FROM now() - j.created_at)::float8 AS age_seconds,
          greatest(0, extract(epoch FROM now() - j.run_at))::float8 AS lateness_seconds, t.taken_over,
          pg_current_xact_id()::text::bigint AS transaction;
WITH locked AS (
    SELECT id FROM orders WHERE id = ANY(:orders::uuid[]) AND status IS NOT DISTINCT FROM 'PENDING' ORDER BY id FOR NO KEY UPDATE
)
UPDATE orders o SET status = 'PROCESSING', updated_at = now() FROM locked WHERE o.id = locked.id
RETURNING o.id, o.user_id;
WITH locked AS (
    SELECT id, order_id FROM payments WHERE order_id = ANY(:orders::uuid[]) AND status IS NOT DISTINCT FROM 'PENDING'
    ORDER BY id FOR NO KEY UPDATE
)
UPDATE payments p SET open_key = p.id || ':' || p.charge_no, updated_at = now()
FROM locked JOIN orders o ON o.id = locked.order_id WHERE p.id = locked.id
RETURNING p.id, p.order_id, o.user_id, p.charge_no, p.amount_minor, p.currency, p.method;
WITH input AS (
    SELECT user_id, order_id, kind, data, (dense_rank() OVER (ORDER BY user_id))::integer AS stream,
           count(*) OVER same_user - row_number() OVER (same_user ORDER BY n) AS later
    FROM unnest(:customers::uuid[], :orders::uuid[], :kinds::text[], :told::jsonb[])
         WITH ORDINALITY AS t (user_id, order_id, kind, data, n)
    WINDOW same_user AS (PARTITION BY user_id)
), streams AS (
    INSERT INTO event_streams AS s (user_id, last_seq)
    SELECT user_id, count(*) FROM input GROUP BY user_id ORDER BY user_id
    ON CONFLICT (user_id) DO UPDATE SET last_seq = s.last_seq + excluded.last_seq
    RETURNING user_id, last_seq
), ends AS (
    SELECT array_agg(last_seq ORDER BY user_id) AS seqs FROM streams
)
INSERT INTO events (user_id, seq, order_id, kind, data)
SELECT user_id, ends.seqs[stream] - later, order_id, kind, data FROM input CROSS JOIN ends;
COMMIT;
BEGIN;
SELECT j.id AS job_id, j.state AS job_state, j.token, j.attempts, j.retries, j.claims,
       greatest(0, extract(epoch FROM j.run_at - now()))::float8 AS wait_seconds,
       o.id AS order_id, o.user_id, o.status AS order_status,
       p.id AS payment_id, p.status AS payment_status, p.charge_no, p.amount_minor, p.currency, p.method, now() AS now
FROM jobs j JOIN orders o ON o.id = j.order_id JOIN payments p ON p.order_id = o.id
WHERE j.id = ANY(:jobs::uuid[]) ORDER BY j.id FOR NO KEY UPDATE OF j, o, p;
WITH changed_jobs AS (
    UPDATE jobs j
    SET state = t.state, attempts = t.attempts, retries = t.retries, last_error = t.error, updated_at = now(),
        run_at = CASE t.state WHEN 'scheduled' THEN clock_timestamp() + t.delay * interval '1 second' ELSE j.run_at END
    FROM unnest(:jobs::uuid[], :states::text[], :zeros::float8[], :ones::integer[], :zeros::integer[], :nulls::text[])
         AS t (id, state, delay, attempts, retries, error)
    WHERE j.id = t.id AND j.state IS NOT DISTINCT FROM 'running'
), changed_orders AS (
    UPDATE orders o SET status = t.status, updated_at = now()
    FROM unnest(:orders::uuid[], :statuses::text[]) AS t (id, status)
    WHERE o.id = t.id AND o.status IS NOT DISTINCT FROM 'PROCESSING'
), changed_payments AS (
    UPDATE payments p
    SET status = t.status, charge_no = t.charge_no, updated_at = now(), last_error = t.error,
        open_key = CASE WHEN t.close THEN NULL ELSE p.open_key END, reference = coalesce(t.reference, p.reference)
    FROM unnest(:payments::uuid[], :statuses::text[], :ones::integer[], :trues::boolean[], :refs::text[], :nulls::text[])
         AS t (id, status, charge_no, close, reference, error)
    WHERE p.id = t.id AND p.status IS NOT DISTINCT FROM 'PENDING'
), new_attempts AS (
    INSERT INTO payment_attempts (payment_id, claim, charge_key, outcome, code)
    SELECT * FROM unnest(:payments::uuid[], :ones::integer[], :keys::text[], :outcomes::text[], :nulls::text[])
)
SELECT pg_current_xact_id()::text::bigint;
WITH input AS (
    SELECT user_id, order_id, kind, data, (dense_rank() OVER (ORDER BY user_id))::integer AS stream,
           count(*) OVER same_user - row_number() OVER (same_user ORDER BY n) AS later
    FROM unnest(:end_customers::uuid[], :end_orders::uuid[], :end_kinds::text[], :end_told::jsonb[])
         WITH ORDINALITY AS t (user_id, order_id, kind, data, n)
    WINDOW same_user AS (PARTITION BY user_id)
), streams AS (
    INSERT INTO event_streams AS s (user_id, last_seq)
    SELECT user_id, count(*) FROM input GROUP BY user_id ORDER BY user_id
    ON CONFLICT (user_id) DO UPDATE SET last_seq = s.last_seq + excluded.last_seq
    RETURNING user_id, last_seq
), ends AS (
    SELECT array_agg(last_seq ORDER BY user_id) AS seqs FROM streams
)
INSERT INTO events (user_id, seq, order_id, kind, data)
SELECT user_id, ends.seqs[stream] - later, order_id, kind, data FROM input CROSS JOIN ends;
COMMIT;
";
