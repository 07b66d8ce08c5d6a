-- Once, as a superuser, in the database of the application:
--   psql -f setup.sql shop
-- The server needs `wal_level = logical`:
--   ALTER SYSTEM SET wal_level = logical;   and a restart
-- The role gets a password by \password capture, or a certificate.
CREATE ROLE capture LOGIN REPLICATION;
CREATE PUBLICATION cacheaside FOR TABLE public.users
    WITH (publish_via_partition_root = true);
SELECT pg_create_logical_replication_slot('cacheaside', 'pgoutput');

-- A rule has a key of `email`, so an update must tell the old one.
ALTER TABLE public.users REPLICA IDENTITY FULL;
