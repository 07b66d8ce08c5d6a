-- The application's table, and what the capture needs to follow it.
CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL, email text NOT NULL);
-- A rule has a key of `email`, so an update must tell the old one.
ALTER TABLE users REPLICA IDENTITY FULL;
INSERT INTO users SELECT n, 'user ' || n, 'user' || n || '@example.com' FROM generate_series(1, 1000) n;

CREATE ROLE capture LOGIN REPLICATION PASSWORD 'capture-demo';
CREATE PUBLICATION cacheaside FOR TABLE public.users WITH (publish_via_partition_root = true);
SELECT pg_create_logical_replication_slot('cacheaside', 'pgoutput');
