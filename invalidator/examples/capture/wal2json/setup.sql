-- Once, as a superuser, in the database of the application. The server needs the plugin
-- (Debian: postgresql-15-wal2json, with the version of the server) and
-- `wal_level = logical`.
CREATE ROLE bridge LOGIN REPLICATION;
SELECT pg_create_logical_replication_slot('bridge', 'wal2json');

-- A rule has a key of `email`, so an update must tell the old one.
ALTER TABLE public.users REPLICA IDENTITY FULL;
