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


REFRESHING = {
    **GOOD,
    "MOORING_TOKEN_KEY_ID": "arn:aws:kms:eu-central-1:123456789012:key/k",
    "MOORING_RECOVERY_QUEUE_URL": "https://sqs.eu-central-1.amazonaws.com/123456789012/mooring-prod-recovery",
    "MOORING_REFRESH_QUEUE_URL": "https://sqs.eu-central-1.amazonaws.com/123456789012/mooring-prod-refresh",
    "MOORING_REVOKE_QUEUE_URL": "https://sqs.eu-central-1.amazonaws.com/123456789012/mooring-prod-revoke",
    "MOORING_REFRESH_FUNCTION": "mooring-prod-refresh",
    "MOORING_QUEUE_LIMIT": "6000",
    "MOORING_EVENT_BUS": "mooring-prod",
    "MOORING_UNDELIVERED_BUCKET": "mooring-prod-undelivered-123456789012",
}


@pytest.mark.parametrize("field", [field for field in Settings._fields if field not in ("stage", "base_url")])
def test_each_variable_is_read_and_explained_where_it_is_missing(field: str) -> None:
    name = f"MOORING_{field.upper()}"
    assert getattr(settings_from(REFRESHING, field), field) == REFRESHING[name].strip()
    environ = {key: value for key, value in REFRESHING.items() if key != name}
    with pytest.raises(SettingsError, match=f"^{name} is not set: it must hold .+"):
        settings_from(environ, field)


@pytest.mark.parametrize("limit", ["1", "6000", " 12 "])
def test_a_queue_limit(limit: str) -> None:
    found = settings_from({**REFRESHING, "MOORING_QUEUE_LIMIT": limit}, "queue_limit")
    assert found.queue_limit == limit.strip()


@pytest.mark.parametrize("limit", ["0", "-1", "1.5", "6e3", "many", "\u0663", "1 000", "+5"])
def test_a_queue_limit_that_cannot_be(limit: str) -> None:
    with pytest.raises(SettingsError, match=r"^MOORING_QUEUE_LIMIT must hold how many messages"):
        settings_from({**REFRESHING, "MOORING_QUEUE_LIMIT": limit}, "queue_limit")


def test_who_needs_no_queue_limit_is_not_asked_for_it() -> None:
    assert settings_from({**REFRESHING, "MOORING_QUEUE_LIMIT": "x"}, "flows_table").queue_limit == ""
