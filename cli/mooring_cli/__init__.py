"""The `mooring` command: sign links, read connections and tokens, look at providers, check settings."""
