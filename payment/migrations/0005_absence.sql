-- How often in a row, and when last, the provider said that it does not know a payment.
ALTER TABLE payments ADD COLUMN absences BIGINT NOT NULL DEFAULT 0;
ALTER TABLE payments ADD COLUMN absent_at_ms BIGINT NOT NULL DEFAULT 0;
