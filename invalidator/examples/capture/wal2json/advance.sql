-- When the stream has stored every event: the `lsn` of the last row that was read.
SELECT pg_replication_slot_advance('bridge', $1::text::pg_lsn)
