"""Files and folders on this machine and in Cloud Storage."""

from pathlib import Path
from typing import Any

import pytest
from google.cloud import storage

from components.core.errors import StepError
from components.data import local_path, location_fault, parallel_text, text_file, text_folder


def upload(uri: str, files: dict[str, bytes]) -> str:
    """Write objects below a URI as another program would, without a manifest."""
    bucket, _, prefix = uri.removeprefix("gs://").partition("/")
    client = storage.Client.create_anonymous_client()
    for name, content in files.items():
        client.bucket(bucket).blob(f"{prefix}/{name}").upload_from_string(content)
    return uri


def test_every_source_of_texts_reads_a_bucket(bucket: str) -> None:
    table = upload(f"{bucket}/own", {"a.csv": b"text,label\nfine,x\nbad,y\n"}) + "/a.csv"
    classes = upload(f"{bucket}/classes", {"": b"", "pos/a.txt": b"good", "neg/b.txt": b"bad", "neg/": b""})
    pairs = upload(f"{bucket}/pairs", {"a.de": b"eins\n", "a.en": b"one\n", "a.tsv": b"zwei\ttwo\n"})
    settings: dict[Any, tuple[Any, list[bytes]]] = {
        text_file: (text_file.Settings(file=table), [b"fine", b"bad"]),
        text_folder: (text_folder.Settings(folder=classes), [b"good", b"bad"]),
        parallel_text: (parallel_text.Settings(file=f"{pairs}/a.de", target_file=f"{pairs}/a.en"), [b"eins"]),
    }
    for module, (chosen, texts) in settings.items():
        assert module.facts(chosen) is None and not module.state(chosen)
        source = module.source(chosen)
        examples = [one.get("text", one.get("source")) for one in source.splits["train"]()]
        assert sorted(examples) == sorted(texts) and source.counts == {"train": len(texts)}


def test_what_is_not_in_a_bucket_is_one_line(bucket: str) -> None:
    with pytest.raises(StepError, match=f"no such file or folder: {bucket}/none"):
        local_path(f"{bucket}/none")


@pytest.mark.parametrize("location", ["s3://bucket/a", "gs:/bucket/a", "file:///a", "https://host/a", "GS://bucket/a"])
def test_another_kind_of_address_is_named(location: str) -> None:
    assert (
        location_fault(location) == f"{location} is neither a local path nor gs://BUCKET/NAME, which are what is read"
    )


def test_a_local_path_is_read_where_it_is(tmp_path: Path) -> None:
    assert local_path(str(tmp_path)) == tmp_path and location_fault(str(tmp_path)) == ""
    assert location_fault(str(tmp_path / "none")) == f"no such file or folder: {tmp_path / 'none'}"
