"""Texts as examples: what is none, how it is shown, and the files that hold some."""


def as_bytes(text: str | bytes) -> bytes:
    """A text's bytes; the halves of characters that a JSON file may hold stay visible as faults."""
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")


def fault(text: bytes, longest: int) -> str:
    """What is wrong with a text as an example, or an empty string.

    Args:
        longest: of more bytes it is too long.
    """
    if len(text) > longest:
        return f"the text has {len(text):,} bytes, more than data.longest={longest}"
    if not text.strip():
        return "the text is empty"
    if b"\0" in text:
        return f"the text has a NUL byte (at {text.index(0):,}): UTF-8 was expected, not UTF-16 or binary data"
    try:
        text.decode()
    except UnicodeDecodeError as error:
        return f"the text is not UTF-8 (byte {error.start:,})"
    return ""
