"""A function with a hole in its environment says at once which one."""

import pytest

from mooring.entry.settings import Settings, SettingsError, settings_from

GOOD = {
    "MOORING_STAGE": "prod",
    "MOORING_BASE_URL": "https://connect.example.com",
    "MOORING_FLOWS_TABLE": " flows ",
    "MOORING_CONNECTIONS_TABLE": "connections",
}


def test_only_what_is_needed_is_read() -> None:
    assert settings_from(GOOD) == Settings("prod", "https://connect.example.com")
    assert settings_from(GOOD, "flows_table") == Settings(
        "prod", "https://connect.example.com", flows_table="flows"
    )


@pytest.mark.parametrize("name", ["MOORING_STAGE", "MOORING_BASE_URL", "MOORING_FLOWS_TABLE"])
@pytest.mark.parametrize("value", [None, "", "  "])
def test_what_is_missing_is_named(name: str, value: str | None) -> None:
    environ = {key: text for key, text in {**GOOD, name: value}.items() if text is not None}
    with pytest.raises(SettingsError, match=f"^{name} is not set: it must hold .+template.yaml"):
        settings_from(environ, "flows_table")


@pytest.mark.parametrize("url", ["https://connect.example.com/", "connect.example.com"])
def test_a_base_url_with_a_slash_or_without_a_scheme(url: str) -> None:
    with pytest.raises(SettingsError, match="MOORING_BASE_URL must hold the public base URL"):
        settings_from({**GOOD, "MOORING_BASE_URL": url})
