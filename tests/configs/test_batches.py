"""Settings of files and batches: what is refused, and how it is named."""

from collections.abc import Mapping

import pytest
from pydantic import ValidationError

from configs.batches import BatchSettings, S3StoreSettings, store_secret_names

BUCKET = {"type": "s3", "bucket": "house"}


@pytest.mark.parametrize(
    ("store", "place", "words"),
    [
        ({"type": "folder", "path": "batches"}, ("store", "folder", "path"), "must be an absolute path"),
        ({"type": "disk"}, ("store",), "does not match any of the expected tags"),
        ({**BUCKET, "endpoint": "minio:9000"}, ("store", "s3", "endpoint"), "must begin with http:// or https://"),
        ({**BUCKET, "access_key_id_env": "A"}, ("store", "s3"), "needs secret_access_key_env beside it"),
        ({**BUCKET, "secret_access_key_env": "A"}, ("store", "s3"), "needs access_key_id_env beside it"),
        ({**BUCKET, "secret": "x"}, ("store", "s3", "secret"), "Extra inputs are not permitted"),
    ],
)
def test_a_faulty_store_is_refused(store: Mapping[str, str], place: tuple[str, ...], words: str) -> None:
    """With the place of the fault."""
    with pytest.raises(ValidationError) as caught:
        BatchSettings.model_validate({"store": store})
    (fault,) = caught.value.errors()
    assert (place, True) == (fault["loc"], words in fault["msg"])


def test_secrets_are_named_by_their_settings() -> None:
    """A folder has none, and neither has a bucket by AWS's own places."""
    keys = {"access_key_id_env": "KEY_ID", "secret_access_key_env": "SECRET"}
    named = S3StoreSettings.model_validate({**BUCKET, **keys})
    assert [("access_key_id_env", "KEY_ID"), ("secret_access_key_env", "SECRET")] == list(store_secret_names(named))
    assert [] == list(store_secret_names(S3StoreSettings.model_validate(BUCKET)))
    assert [] == list(store_secret_names(None))
