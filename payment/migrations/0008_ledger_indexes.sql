-- An account's movements in the order of time, and what an order has on an account: comparing a day reads no other day.
CREATE INDEX ledger_of_account ON ledger (account, moved_at_ms, entry_no);
CREATE INDEX ledger_of_order ON ledger (order_id, account);
