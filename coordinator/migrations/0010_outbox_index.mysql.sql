-- Everyone who looks for messages names a lane or an order, and `outbox_by_lane` and `outbox_by_order` are for that. With this third
-- index a server may look through all that is owed for each message that is due, to see whether an earlier one of its order is.
DROP INDEX outbox_due ON outbox;
