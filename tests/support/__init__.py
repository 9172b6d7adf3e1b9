"""What several rooms of tests share."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The checkout."""

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
"""Programs that are the browser, the first one found wins."""
