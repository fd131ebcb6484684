"""router.wire_apis.audio.form: forms are read, and keep their bytes but for the model's name."""

import pytest
from forms import BOUNDARY, FORM_HEADERS, RECORDING, file_part, form, part, recording_form

from router.errors import InvalidRequest, RequestTooLarge, ServingError
from router.wire_apis.audio.form import Form, read_form

CONTENT_TYPE = FORM_HEADERS["content-type"].encode()


def read(raw: bytes, content_type: bytes | None = CONTENT_TYPE) -> Form:
    return read_form(content_type, raw)


def test_the_fields_of_a_form() -> None:
    """Texts by name; those of a list together, and the recording not among them."""
    grains = [part("timestamp_granularities[]", grain) for grain in ("word", "segment")]
    got = read(form(file_part(), part("model", "m"), part("prompt", "Grüße,\r\nAnna"), *grains))
    expected = {"model": "m", "prompt": "Grüße,\r\nAnna", "timestamp_granularities[]": "word,segment"}
    assert expected == got.fields


@pytest.mark.parametrize("name", ["m", "another/model", "x"])
def test_only_the_name_changes(name: str) -> None:
    """Whatever stands before and behind it stays, down to the byte."""
    raw = form(part("language", "de"), part("model", "m"), file_part())
    assert raw.replace(b"\r\n\r\nm\r\n", b"\r\n\r\n%b\r\n" % name.encode()) == read(raw).with_model(name)


def test_a_boundary_in_quotes() -> None:
    """As it may be written."""
    content_type = f'multipart/form-data; charset=utf-8; boundary="{BOUNDARY}"'.encode()
    got = read(recording_form(), content_type)
    assert ("m", content_type.decode()) == (got.fields["model"], got.content_type)


def test_what_follows_the_last_boundary_is_passed_on_unread() -> None:
    """As before the first one, where the standard allows words to whoever cannot read forms."""
    raw = recording_form() + b"and so on"
    assert raw == read(raw).with_model("m")


WHOLE = recording_form()


@pytest.mark.parametrize(
    ("raw", "content_type", "message", "param"),
    [
        (WHOLE, None, "is sent as multipart/form-data", None),
        (WHOLE, b"application/json", "is sent as multipart/form-data", None),
        (WHOLE, b"multipart/form-data", "has no boundary", None),
        (WHOLE, b"multipart/form-data; boundary=", "has no boundary", None),
        (WHOLE, b"multipart/form-data; boundary=other", "is not valid multipart/form-data", None),
        (WHOLE, CONTENT_TYPE + b"; x=\xff", "is sent as multipart/form-data", None),
        (b"", CONTENT_TYPE, "ends before its last boundary", None),
        (b"no form", CONTENT_TYPE, "is not valid multipart/form-data", None),
        (WHOLE[: len(WHOLE) // 2], CONTENT_TYPE, "ends before its last boundary", None),
        (WHOLE[:-4], CONTENT_TYPE, "ends before its last boundary", None),
        (form(part("model", "m")), CONTENT_TYPE, "`file` is missing", "file"),
        (form(part("model", "m"), part("file", RECORDING)), CONTENT_TYPE, "must be a file", "file"),
        (form(part("model", "m"), file_part(b"")), CONTENT_TYPE, "`file` is empty", "file"),
        (form(file_part(), file_part(), part("model", "m")), CONTENT_TYPE, "more than one `file`", "file"),
        (form(file_part()), CONTENT_TYPE, "`model` is missing", "model"),
        (form(file_part(), part("model", "")), CONTENT_TYPE, "`model` is missing", "model"),
        (form(file_part(), part("model", "a"), part("model", "b")), CONTENT_TYPE, "more than one `model`", "model"),
        (form(file_part(), *[part("a[]", "x")] * 64), CONTENT_TYPE, "more than 64 fields", None),
        (form(file_part(b"\r\n--b0undary" * 100_000)), CONTENT_TYPE, "more than 64 fields", None),
        (WHOLE.replace(b"Content-Type: audio", b"X: " + b"a" * 9000), CONTENT_TYPE, "not valid multipart", None),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_form(raw: bytes, content_type: bytes | None, message: str, param: str | None) -> None:
    """Is said, with the field where there is one."""
    with pytest.raises(InvalidRequest) as caught:
        read(raw, content_type)
    assert message in caught.value.message
    assert param == caught.value.param


def test_a_field_that_is_too_long() -> None:
    """Is not of use to any engine."""
    with pytest.raises(RequestTooLarge) as caught:
        read(form(file_part(), part("model", "m"), part("prompt", "a" * 65_537)))
    assert ("prompt", 413) == (caught.value.param, caught.value.status)


def test_a_boundary_that_is_too_long() -> None:
    """Is refused, by whoever finds it."""
    boundary = b"b" * 5000
    with pytest.raises(ServingError) as caught:
        read(WHOLE.replace(BOUNDARY.encode(), boundary), b"multipart/form-data; boundary=" + boundary)
    assert 400 == caught.value.status
