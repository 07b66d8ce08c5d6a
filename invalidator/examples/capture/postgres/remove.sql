-- When it is no longer wanted, and the capture is stopped: a slot that nobody reads from
-- keeps the log until the disk is full.
SELECT pg_drop_replication_slot('cacheaside');
DROP PUBLICATION cacheaside;
DROP ROLE capture;
