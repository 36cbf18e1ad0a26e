-- Until when a call to the provider may be under way, and what was asked for meanwhile; no two refunds of a payment have one name.
ALTER TABLE payments ADD COLUMN lease_until_ms BIGINT NOT NULL DEFAULT 0;
ALTER TABLE payments ADD COLUMN look_wanted_ms BIGINT NOT NULL DEFAULT 0;
-- The provider's name of a refund once more, absent where there is none: names are unique, no name is not.
ALTER TABLE cancels ADD COLUMN refund_name VARCHAR(200) NULL;
UPDATE cancels SET refund_name = transaction_key WHERE transaction_key <> '' AND (order_id, number) IN
  (SELECT order_id, first_number FROM
    (SELECT order_id, MIN(number) AS first_number FROM cancels GROUP BY order_id, transaction_key) AS firsts);
CREATE UNIQUE INDEX cancels_by_refund_name ON cancels (order_id, refund_name);
