-- Money goes back in parts: each cancel a row, the ledger an entry list linked to its cause, results with their request.
CREATE TABLE cancels (
  order_id BINARY(16) NOT NULL,
  number BIGINT NOT NULL,
  request_id VARCHAR(128) NOT NULL,
  amount_krw BIGINT NOT NULL CHECK (amount_krw > 0),
  reason VARCHAR(200) NOT NULL,
  step BIGINT NOT NULL,
  transaction_key VARCHAR(200) NOT NULL,
  created_at_ms BIGINT NOT NULL,
  updated_at_ms BIGINT NOT NULL,
  PRIMARY KEY (order_id, number),
  FOREIGN KEY (order_id) REFERENCES payments (order_id)
);
INSERT INTO cancels (order_id, number, request_id, amount_krw, reason, step, transaction_key, created_at_ms, updated_at_ms)
  SELECT order_id, 1, '', amount_krw, cancel_reason,
    CASE state WHEN 2 THEN 1 WHEN 3 THEN 1 WHEN 5 THEN 2 WHEN 6 THEN 3 ELSE 4 END, '', updated_at_ms, updated_at_ms
  FROM payments WHERE cancel_wanted = 1 OR state = 6;
-- What is left of the money taken; the check refuses to give back more.
ALTER TABLE payments ADD COLUMN left_krw BIGINT NOT NULL DEFAULT 0 CHECK (left_krw >= 0);
UPDATE payments SET left_krw = amount_krw WHERE state IN (3, 5);
ALTER TABLE payments DROP COLUMN cancel_wanted;
ALTER TABLE payments DROP COLUMN cancel_reason;
-- Append-only. `movement` and `number` name the cause: the capture (number 0) or the cancel of that number.
CREATE TABLE ledger (
  entry_no BIGINT NOT NULL PRIMARY KEY,
  order_id BINARY(16) NOT NULL,
  movement BIGINT NOT NULL,
  number BIGINT NOT NULL,
  account VARCHAR(32) NOT NULL,
  currency VARCHAR(3) NOT NULL,
  amount BIGINT NOT NULL CHECK (amount <> 0),
  created_at_ms BIGINT NOT NULL,
  UNIQUE (order_id, movement, number, account),
  FOREIGN KEY (order_id) REFERENCES payments (order_id)
);
CREATE INDEX ledger_by_account ON ledger (account, created_at_ms);
INSERT INTO ledger (entry_no, order_id, movement, number, account, currency, amount, created_at_ms)
  SELECT ROW_NUMBER() OVER (ORDER BY created_at_ms, order_id, kind, account), order_id, kind, kind - 1, account, 'KRW',
    amount_krw, created_at_ms FROM ledger_entries;
DROP TABLE ledger_entries;
CREATE TABLE ledger_counter (
  id BIGINT NOT NULL PRIMARY KEY,
  last_entry BIGINT NOT NULL
);
INSERT INTO ledger_counter (id, last_entry) SELECT 1, COALESCE(MAX(entry_no), 0) FROM ledger;
CREATE TABLE results_with_request (
  result_offset BIGINT NOT NULL PRIMARY KEY,
  event_id BINARY(16) NOT NULL UNIQUE,
  order_id BINARY(16) NOT NULL,
  kind BIGINT NOT NULL,
  number BIGINT NOT NULL,
  request_id VARCHAR(128) NOT NULL,
  amount_krw BIGINT NOT NULL,
  left_krw BIGINT NOT NULL,
  payment_key VARCHAR(200) NOT NULL,
  code VARCHAR(100) NOT NULL,
  message VARCHAR(600) NOT NULL,
  occurred_at_ms BIGINT NOT NULL,
  UNIQUE (order_id, kind, number),
  FOREIGN KEY (order_id) REFERENCES payments (order_id)
);
INSERT INTO results_with_request (result_offset, event_id, order_id, kind, number, request_id, amount_krw, left_krw,
    payment_key, code, message, occurred_at_ms)
  SELECT result_offset, event_id, order_id, kind, CASE kind WHEN 3 THEN 1 ELSE 0 END, '', amount_krw,
    CASE kind WHEN 1 THEN amount_krw ELSE 0 END, payment_key, code, message, occurred_at_ms FROM results;
DROP TABLE results;
ALTER TABLE results_with_request RENAME TO results;
