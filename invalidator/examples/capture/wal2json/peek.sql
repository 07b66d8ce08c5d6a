-- What a bridge asks again and again: whole transactions, and nothing is forgotten.
SELECT lsn::text, data FROM pg_logical_slot_peek_changes('bridge', NULL, 1000,
    'format-version', '2', 'include-lsn', 'true', 'include-timestamp', 'true')
