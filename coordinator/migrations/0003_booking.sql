-- Orders, the seats they claim, and tickets.
CREATE TABLE orders (
  id BINARY(16) NOT NULL,
  user_id BINARY(16) NOT NULL,
  performance_id BINARY(16) NOT NULL,
  hold_id BINARY(16) NOT NULL,
  state VARCHAR(16) NOT NULL,
  total_krw BIGINT NOT NULL,
  name VARCHAR(200) NOT NULL,
  created_at BIGINT NOT NULL,
  pay_before BIGINT NOT NULL,
  decline_reason VARCHAR(400) NULL,
  PRIMARY KEY (id),
  UNIQUE (hold_id)
);

CREATE INDEX orders_by_deadline ON orders (state, pay_before);
CREATE INDEX orders_by_user ON orders (user_id, created_at);

CREATE TABLE order_lines (
  order_id BINARY(16) NOT NULL,
  seat BIGINT NOT NULL,
  price_krw BIGINT NOT NULL,
  PRIMARY KEY (order_id, seat)
);

-- One row for each seat ever ordered: who has it now, and the highest fence accepted for it.
CREATE TABLE seat_claims (
  performance_id BINARY(16) NOT NULL,
  seat BIGINT NOT NULL,
  fence BIGINT NOT NULL,
  order_id BINARY(16) NULL,
  sold BIGINT NOT NULL,
  PRIMARY KEY (performance_id, seat)
);

-- `live` is 1 or NULL, so the unique key allows many dead tickets of a seat and one live one.
CREATE TABLE tickets (
  id BINARY(16) NOT NULL,
  order_id BINARY(16) NOT NULL,
  user_id BINARY(16) NOT NULL,
  performance_id BINARY(16) NOT NULL,
  seat BIGINT NOT NULL,
  price_krw BIGINT NOT NULL,
  live BIGINT NULL,
  qr_version BIGINT NOT NULL,
  issued_at BIGINT NOT NULL,
  PRIMARY KEY (id),
  UNIQUE (performance_id, seat, live)
);

CREATE INDEX tickets_by_user ON tickets (user_id, issued_at);
CREATE INDEX tickets_by_order ON tickets (order_id);
