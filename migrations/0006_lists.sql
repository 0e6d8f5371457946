-- Lists that stay fast however long they are: indexes for every order and filter, and search.
-- Additive: a program that does not know of it goes on as before; triggers keep the search for both.
-- Not CONCURRENTLY (rule 5): nothing was released before this file, so there is no shop that could be kept waiting.

-- A customer's orders, by whatever they can be sorted and filtered by.
CREATE INDEX orders_by_user_status     ON orders (user_id, status, id);
CREATE INDEX orders_by_user_total      ON orders (user_id, total_minor, id);
CREATE INDEX orders_by_user_created_at ON orders (user_id, created_at, id);
CREATE INDEX orders_by_user_updated_at ON orders (user_id, updated_at, id);

CREATE EXTENSION IF NOT EXISTS pg_trgm;

-- What of a product is searched: its name before its description.
CREATE FUNCTION product_document(name text, description text) RETURNS tsvector
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN setweight(to_tsvector('english'::regconfig, name), 'A')
        || setweight(to_tsvector('english'::regconfig, description), 'B');

-- The words of a product as they are written: without numbers, and in order, so that those who add the same
-- words at the same time wait for each other in the same order.
CREATE FUNCTION product_words_of(name text, description text) RETURNS SETOF text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    BEGIN ATOMIC
        SELECT lexeme FROM unnest(to_tsvector('simple'::regconfig, name || ' ' || description))
        WHERE lexeme ~ '^[^[:digit:][:punct:]]{3,40}$' ORDER BY lexeme;
    END;

-- The documents are in a table of their own. A generated column, or an index over an expression, would be written again
-- by every order: it rewrites the rows of its products, and since stock is indexed all their index entries too.
CREATE TABLE product_search (
    product_id uuid PRIMARY KEY CONSTRAINT product_search_product_exists REFERENCES products ON DELETE CASCADE,
    document   tsvector NOT NULL
);

-- Words that the catalogue has or had. Misspelt ones are looked up here and not among the products: there
-- are millions of those, but only so many words.
CREATE TABLE product_words (
    word text PRIMARY KEY
);

CREATE FUNCTION product_search_follow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.deleted_at IS NOT NULL THEN
        DELETE FROM product_search WHERE product_id = NEW.id;
        RETURN NULL;
    END IF;
    INSERT INTO product_search (product_id, document) VALUES (NEW.id, product_document(NEW.name, NEW.description))
    ON CONFLICT (product_id) DO UPDATE SET document = excluded.document;
    INSERT INTO product_words (word) SELECT word FROM product_words_of(NEW.name, NEW.description) AS word
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;

CREATE TRIGGER products_search_added AFTER INSERT ON products
    FOR EACH ROW EXECUTE FUNCTION product_search_follow();

-- A change of the stock names none of these columns, so no order comes here.
CREATE TRIGGER products_search_edited AFTER UPDATE OF name, description, deleted_at ON products
    FOR EACH ROW WHEN ((OLD.name, OLD.description, OLD.deleted_at) IS DISTINCT FROM (NEW.name, NEW.description, NEW.deleted_at))
    EXECUTE FUNCTION product_search_follow();

-- What is there already. After the triggers, which wait for those who are writing: what is written later, they see.
INSERT INTO product_search (product_id, document)
SELECT id, product_document(name, description) FROM products WHERE deleted_at IS NULL
ON CONFLICT DO NOTHING;

INSERT INTO product_words (word)
SELECT DISTINCT word FROM products CROSS JOIN LATERAL product_words_of(name, description) AS word
WHERE deleted_at IS NULL
ON CONFLICT DO NOTHING;

CREATE INDEX product_search_by_document ON product_search USING gin (document);
CREATE INDEX product_words_by_likeness  ON product_words USING gin (word gin_trgm_ops);

ANALYZE product_search, product_words;
