-- The stock of each product once more, in a table of its own, for lists that are sorted or filtered by it.
-- An index on products.stock made each order write every index entry of its products anew, of which there are seven. Now an
-- order changes no indexed column of a product (a HOT update), and one row here.
-- A program that does not know of it goes on as before: triggers keep it. Only its lists by stock read the whole catalogue.
-- Neither CONCURRENTLY (rule 5) nor in two releases (rule 2): nothing was released before this file, so there is no shop that
-- could be kept waiting.

-- At once what the last statements need: orders that hold rows already could not let a weaker lock be made stronger.
LOCK TABLE products IN ACCESS EXCLUSIVE MODE;

CREATE TABLE stock_levels (
    product_id uuid PRIMARY KEY,
    pieces     bigint NOT NULL
);

-- By statement and not by row: an order of twenty lines, or a group of sixty orders, comes here once.
CREATE FUNCTION stock_levels_follow_stock() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE stock_levels SET pieces = stock FROM changed WHERE product_id = id AND pieces <> stock;
    RETURN NULL;
END $$;

CREATE FUNCTION stock_levels_add() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO stock_levels (product_id, pieces) SELECT id, stock FROM added WHERE deleted_at IS NULL;
    RETURN NULL;
END $$;

CREATE FUNCTION stock_levels_follow_deletion() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.deleted_at IS NULL THEN
        INSERT INTO stock_levels (product_id, pieces) VALUES (NEW.id, NEW.stock);
    ELSE
        DELETE FROM stock_levels WHERE product_id = NEW.id;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER products_stock_added AFTER INSERT ON products
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION stock_levels_add();
CREATE TRIGGER products_stock_changed AFTER UPDATE ON products
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION stock_levels_follow_stock();
CREATE TRIGGER products_deleted AFTER UPDATE OF deleted_at ON products
    FOR EACH ROW WHEN ((OLD.deleted_at IS NULL) <> (NEW.deleted_at IS NULL))
    EXECUTE FUNCTION stock_levels_follow_deletion();

INSERT INTO stock_levels (product_id, pieces) SELECT id, stock FROM products WHERE deleted_at IS NULL;

-- After the rows, so that they are checked together.
ALTER TABLE stock_levels
    ADD CONSTRAINT stock_levels_product_exists FOREIGN KEY (product_id) REFERENCES products ON DELETE CASCADE;
CREATE INDEX stock_levels_by_pieces ON stock_levels (pieces, product_id);
ANALYZE stock_levels;

DROP INDEX products_by_stock;

-- Room in each page for the next versions of its rows, without which no update is a HOT one.
ALTER TABLE products SET (fillfactor = 75);
