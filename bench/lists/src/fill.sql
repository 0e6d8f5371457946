-- Fills an empty shop: $PRODUCTS products, $ORDERS orders, and customers of whom the first has half of all orders.
-- Ids sort by time of making, as the shop's do. The same numbers give the same shop again.

-- As a restored backup would: no triggers for each row, and the search is written at once below.
SET session_replication_role = replica;
SET synchronous_commit = off;
SELECT setseed(0.5);

CREATE FUNCTION bench_id(kind int, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE RETURN
    (lpad(to_hex(1735689600000 + n), 12, '0') || '7000800' || kind || lpad(to_hex(n), 12, '0'))::uuid;

-- The k-th of 20,000 words: three or four syllables.
CREATE FUNCTION bench_word(k int) RETURNS text LANGUAGE sql IMMUTABLE RETURN
    substr('bacedifogukalemiponurasetivowu', 1 + 2 * (k % 15), 2) ||
    substr('nalerimosutabedigofukanesoripu', 1 + 2 * (k / 15 % 15), 2) ||
    substr('keltonmirsanbardenfolgumrakpel', 1 + 3 * (k / 225 % 10), 3) ||
    CASE WHEN k >= 2250 THEN substr('dalivetoru', 1 + 2 * (k / 2250 % 5), 2) ELSE '' END ||
    CASE WHEN k >= 11250 THEN 'x' ELSE '' END;

-- So many words, common ones more often than rare ones. The argument keeps the planner from calling it only once.
CREATE FUNCTION bench_text(words int, n bigint) RETURNS text LANGUAGE sql VOLATILE RETURN
    (SELECT string_agg(bench_word(floor(power(20000, random()))::int), ' ') FROM generate_series(1, words) WHERE n > 0);

-- Those after the customers have ordered nothing. One in a hundred is an admin.
INSERT INTO users (id, email, name, password_hash, role)
SELECT bench_id(1, n), n || '@lists.example', 'Customer ' || n, 'none', CASE WHEN n % 100 = 0 THEN 'ADMIN' ELSE 'CLIENT' END
FROM generate_series(1, $CUSTOMERS + $PRODUCTS) AS n;

-- A thousand of them, evenly spread, are a `grail`, and half of all are `ware`.
INSERT INTO products (id, name, description, price_minor, stock, created_at, updated_at)
SELECT bench_id(2, n), initcap(bench_text(3, n)),
       bench_text(12, n) || CASE WHEN n % greatest($PRODUCTS / 1000, 1) = 0 THEN ' grail' ELSE '' END
                         || CASE WHEN n % 2 = 0 THEN ' ware' ELSE '' END,
       1 + floor(random() * 100000)::bigint, CASE WHEN n % 20 = 0 THEN 0 ELSE 1 + n % 500 END,
       '2025-01-01Z'::timestamptz + n * interval '10 seconds',
       '2025-01-01Z'::timestamptz + n * interval '10 seconds' + random() * interval '30 days'
FROM generate_series(1, $PRODUCTS) AS n;

INSERT INTO stock_levels (product_id, pieces) SELECT id, stock FROM products;
INSERT INTO product_search (product_id, document) SELECT id, product_document(name, description) FROM products;
INSERT INTO product_words (word)
SELECT DISTINCT word FROM products CROSS JOIN LATERAL product_words_of(name, description) AS word;

INSERT INTO orders (id, user_id, status, total_minor, currency, payment_method, created_at, updated_at)
SELECT bench_id(3, n), bench_id(1, CASE WHEN n % 2 = 0 THEN 1 ELSE 2 + n / 2 % ($CUSTOMERS - 1) END),
       CASE WHEN n > $ORDERS - $ORDERS / 1000 THEN 'PENDING'
            ELSE (ARRAY['COMPLETED', 'COMPLETED', 'COMPLETED', 'FAILED', 'CANCELLED', 'REFUNDED'])
                 [1 + floor(power(random(), 3) * 6)::int] END,
       1 + floor(random() * 100000)::bigint, 'USD', 'test',
       '2025-01-01Z'::timestamptz + n * interval '15 seconds',
       '2025-01-01Z'::timestamptz + n * interval '15 seconds' + random() * interval '1 day'
FROM generate_series(1, $ORDERS) AS n;

INSERT INTO order_items (order_id, product_id, id, line, quantity, price_minor)
SELECT bench_id(3, n), bench_id(2, 1 + (n::bigint * 7919) % $PRODUCTS), bench_id(4, n), 1, 1, 100
FROM generate_series(1, $ORDERS) AS n;

-- A payment for each order; one in a thousand by another method.
INSERT INTO payments (id, order_id, amount_minor, currency, method, status, reference, created_at, updated_at)
SELECT bench_id(5, ('x' || substr(id::text, 25))::bit(48)::bigint), id, total_minor, currency, payment_method,
       CASE WHEN status IN ('FAILED', 'CANCELLED') THEN 'FAILED' ELSE status END, 'ch', created_at, updated_at
FROM orders;
UPDATE payments SET method = 'rare' WHERE right(id::text, 3) = '000';

RESET session_replication_role;
VACUUM (ANALYZE) users, products, stock_levels, product_search, product_words, orders, order_items, payments;
