"""Providers as data, and the OAuth 2.0 protocol written once."""
