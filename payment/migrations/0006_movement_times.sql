-- When the provider moved the money, which may be days before that was known here; and the sums that were checked, by currency.
-- 0: booked by an earlier version, which did not know.
ALTER TABLE ledger ADD COLUMN moved_at_ms BIGINT NOT NULL DEFAULT 0;
UPDATE ledger SET moved_at_ms = created_at_ms;
CREATE INDEX ledger_by_movement ON ledger (moved_at_ms);
CREATE TABLE ledger_checked_sums (
  account VARCHAR(32) NOT NULL,
  currency VARCHAR(3) NOT NULL,
  up_to_entry BIGINT NOT NULL,
  balance BIGINT NOT NULL,
  PRIMARY KEY (account, currency)
);
