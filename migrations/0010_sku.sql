-- What the shop's own people call a product, for files that come and go (`shopctl products import`). Additive: a program
-- that does not know of it goes on as before, and its products have none.

-- Compared byte by byte: it is ASCII, and an index in the order of bytes is the fastest.
ALTER TABLE products
    ADD COLUMN sku text COLLATE "C" CONSTRAINT products_sku_length CHECK (char_length(sku) BETWEEN 1 AND 64);

-- A product that is deleted gives its own back. Those without one are in no index that their orders would have to write.
-- Not CONCURRENTLY (rule 5): no row has one yet, so the index is empty when it is made.
CREATE UNIQUE INDEX products_sku_unique ON products (sku) WHERE deleted_at IS NULL AND sku IS NOT NULL;
