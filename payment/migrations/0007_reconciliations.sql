-- What came of comparing a day, as it was last compared.
CREATE TABLE reconciliations (
  day VARCHAR(10) NOT NULL PRIMARY KEY,
  movements BIGINT NOT NULL,
  settlement_rows BIGINT NOT NULL,
  differences BIGINT NOT NULL,
  closed BIGINT NOT NULL,
  ledger_sum_krw BIGINT NOT NULL,
  new_entries BIGINT NOT NULL,
  compared_at_ms BIGINT NOT NULL
);
