"""Mooring connects merchants' accounts at third-party providers and keeps their tokens alive."""
