-- Five times a second a row changes. Of one row, because the subquery is asked once and not for
-- each row.
SET client_min_messages = warning;
UPDATE users SET name = 'user ' || id || ' at ' || clock_timestamp()
  WHERE id = (SELECT 1 + floor(random() * 1000)::int)
\watch interval=0.2
