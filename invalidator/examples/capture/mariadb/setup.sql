-- Once, as root. In the server's file of settings:
--   [mariadbd]
--   log_bin = binlog
--   server_id = 1
--   binlog_format = ROW
--   binlog_row_image = FULL
--   binlog_row_metadata = FULL
--   binlog_expire_logs_seconds = 864000     longer than any outage of the capture
-- The role gets a password by SET PASSWORD FOR capture = PASSWORD('…').
CREATE USER capture;
GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO capture;
