-- Payments, their double-entry ledger, the inbox of commands, the outbox of results, and the cases a person must look at.
CREATE TABLE payments (
  order_id BINARY(16) NOT NULL PRIMARY KEY,
  user_id BINARY(16) NOT NULL,
  amount_krw BIGINT NOT NULL CHECK (amount_krw > 0),
  order_name VARCHAR(200) NOT NULL,
  state BIGINT NOT NULL,
  payment_key VARCHAR(200) NOT NULL,
  code VARCHAR(100) NOT NULL,
  message VARCHAR(600) NOT NULL,
  cancel_wanted BIGINT NOT NULL,
  cancel_reason VARCHAR(200) NOT NULL,
  attempts BIGINT NOT NULL,
  asked_at_ms BIGINT NOT NULL,
  next_check_ms BIGINT NOT NULL,
  expires_at_ms BIGINT NOT NULL,
  created_at_ms BIGINT NOT NULL,
  updated_at_ms BIGINT NOT NULL
);
CREATE INDEX payments_by_next_check ON payments (next_check_ms);
CREATE TABLE ledger_entries (
  order_id BINARY(16) NOT NULL,
  kind BIGINT NOT NULL,
  account VARCHAR(32) NOT NULL,
  amount_krw BIGINT NOT NULL CHECK (amount_krw <> 0),
  created_at_ms BIGINT NOT NULL,
  PRIMARY KEY (order_id, kind, account),
  FOREIGN KEY (order_id) REFERENCES payments (order_id)
);
CREATE TABLE result_counter (
  id BIGINT NOT NULL PRIMARY KEY,
  last_offset BIGINT NOT NULL
);
INSERT INTO result_counter (id, last_offset) VALUES (1, 0);
CREATE TABLE results (
  result_offset BIGINT NOT NULL PRIMARY KEY,
  event_id BINARY(16) NOT NULL UNIQUE,
  order_id BINARY(16) NOT NULL,
  kind BIGINT NOT NULL,
  amount_krw BIGINT NOT NULL,
  payment_key VARCHAR(200) NOT NULL,
  code VARCHAR(100) NOT NULL,
  message VARCHAR(600) NOT NULL,
  occurred_at_ms BIGINT NOT NULL,
  UNIQUE (order_id, kind),
  FOREIGN KEY (order_id) REFERENCES payments (order_id)
);
CREATE TABLE inbox (
  request_digest BINARY(32) NOT NULL PRIMARY KEY,
  body_digest BINARY(32) NOT NULL,
  received_at_ms BIGINT NOT NULL
);
CREATE INDEX inbox_by_time ON inbox (received_at_ms);
CREATE TABLE open_cases (
  order_id BINARY(16) NOT NULL PRIMARY KEY,
  reason VARCHAR(200) NOT NULL,
  opened_at_ms BIGINT NOT NULL,
  closed_at_ms BIGINT NOT NULL,
  FOREIGN KEY (order_id) REFERENCES payments (order_id)
);
