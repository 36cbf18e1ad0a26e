-- Sales windows, buyers' limits, blocked seats, refunds and cancelled performances.
ALTER TABLE performances ADD COLUMN sales_close_at BIGINT NULL;
ALTER TABLE performances ADD COLUMN cancelled_at BIGINT NULL;
ALTER TABLE events ADD COLUMN hold_seats_max BIGINT NOT NULL DEFAULT 4;
ALTER TABLE events ADD COLUMN performance_seats_max BIGINT NOT NULL DEFAULT 4;
ALTER TABLE events ADD COLUMN event_seats_max BIGINT NOT NULL DEFAULT 12;
-- The refund under way or done: from then on the ticket opens no gate.
ALTER TABLE tickets ADD COLUMN refund_id BINARY(16) NULL;

CREATE INDEX orders_by_performance ON orders (performance_id, state);

-- Seats a buyer has ordered or bought. `scope` is a performance or an event: the limits of both are kept here.
CREATE TABLE buyer_seats (
  scope BINARY(16) NOT NULL,
  user_id BINARY(16) NOT NULL,
  seats BIGINT NOT NULL,
  PRIMARY KEY (scope, user_id)
);

CREATE TABLE blocked_seats (
  performance_id BINARY(16) NOT NULL,
  seat BIGINT NOT NULL,
  PRIMARY KEY (performance_id, seat)
);

-- `open` is 1 or NULL: a ticket has one refund that is under way or done, and any number of declined ones.
CREATE TABLE refunds (
  id BINARY(16) NOT NULL,
  ticket_id BINARY(16) NOT NULL,
  order_id BINARY(16) NOT NULL,
  user_id BINARY(16) NOT NULL,
  performance_id BINARY(16) NOT NULL,
  seat BIGINT NOT NULL,
  price_krw BIGINT NOT NULL,
  fee_krw BIGINT NOT NULL,
  amount_krw BIGINT NOT NULL,
  reason VARCHAR(800) NOT NULL,
  state VARCHAR(16) NOT NULL,
  open BIGINT NULL,
  requested_at BIGINT NOT NULL,
  decided_at BIGINT NULL,
  decided_by BINARY(16) NULL,
  PRIMARY KEY (id),
  UNIQUE (ticket_id, open),
  CHECK (fee_krw >= 0 AND amount_krw >= 0 AND fee_krw + amount_krw = price_krw)
);

CREATE INDEX refunds_by_user ON refunds (user_id, id);
CREATE INDEX refunds_by_performance ON refunds (performance_id, state);

-- A performance the organiser cancelled: every ticket is refunded by a job that can be interrupted anywhere.
CREATE TABLE cancellations (
  performance_id BINARY(16) NOT NULL,
  reason VARCHAR(800) NOT NULL,
  cancelled_by BINARY(16) NOT NULL,
  cancelled_at BIGINT NOT NULL,
  finished_at BIGINT NULL,
  PRIMARY KEY (performance_id)
);

-- What the comparison of live seats with this database found and put right.
CREATE TABLE seat_corrections (
  id BINARY(16) NOT NULL,
  performance_id BINARY(16) NOT NULL,
  seat BIGINT NOT NULL,
  found VARCHAR(16) NOT NULL,
  made VARCHAR(16) NOT NULL,
  corrected_at BIGINT NOT NULL,
  PRIMARY KEY (id)
);

-- The first message of each order that is still owed.
CREATE INDEX outbox_by_order ON outbox (order_id, done_at);

CREATE INDEX idempotency_by_age ON idempotency (created_at);
