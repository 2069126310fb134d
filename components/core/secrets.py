"""Secrets in texts: recognised by their form, refused as settings, and masked in records and messages.

A form is a rule of the issuer (a prefix, a structure) or of the context (an address, an assignment). A secret without a
form of its own, such as forty hexadecimal digits, which may be a commit, is recognised by its name only.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

# Kind of secret -> form. The optional group ``before`` precedes the secret and may be shown. No form begins with a
# repetition, so that the time is linear in the length of a text.
FORMS = {
    "a private key": r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----(?:.*?-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----|.*)",
    "a Google access token": r"(?<![\w-])ya29\.[\w-]{16,}(?:\.[\w-]+)*",
    "a Google refresh token": r"(?<![\w/-])1//0[\w-]{20,}",
    "a Google API key": r"(?<![\w-])AIza[\w-]{30,}",
    "a Google client secret": r"(?<![\w-])GOCSPX-[\w-]{20,}",
    "a JSON Web Token": r"(?<![\w-])eyJ[\w-]{8,}\.eyJ[\w-]{8,}(?:\.[\w-]*)?",
    "an AWS access key": r"(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])",
    "a GitHub token": r"(?<![A-Za-z0-9])(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{30,})",
    "a GitLab token": r"(?<![\w-])glpat-[\w-]{16,}",
    "a Hugging Face token": r"(?<![A-Za-z0-9])hf_[A-Za-z0-9]{30,}",
    "a Weights & Biases key": r"(?<![A-Za-z0-9])wandb_v1_\w{20,}",
    "a Slack token": r"(?<![\w-])xox[abprs]-[\w-]{10,}",
    "a PyPI token": r"(?<![\w-])pypi-AgEI[\w-]{20,}",
    "an API key": r"(?<![\w-])sk-(?:proj-|ant-)?[\w-]{32,}",
    "a password in an address": r"(?P<before{}>://)(?:[^\s/@:\"'<>]{{0,200}}:[^\s/@\"'<>]{{1,400}}|[\w-]{{20,400}})(?=@)",
    "a signature or token in an address": r"(?P<before{}>[?&](?:[\w-]{{0,40}}(?:token|signature|credential|password|"
    r"secret|api_?key)|sig|key|awsaccesskeyid)=)(?!\[removed)[^&\s\"'<>]{{4,}}",
    "a bearer token": r"(?P<before{}>\bbearer\s{{1,4}})[\w.~+/-]{{16,}}=*",
    "a secret by its name": r"(?P<before{}>(?:api_?key|access_?key|secret_?key|account_?key|auth_?token|access_?token|"
    r"refresh_?token|id_?token|_token|client_?secret|_secret|passwd|password|authorization)\\?[\"']?\s{{0,4}}[=:]"
    r"\s{{0,4}}\\?[\"']?(?:basic\s{{1,4}})?)[^\s\"'\\&,;<>\[\](){{}}]{{8,}}",
}
NAMES = list(FORMS)
# Forms with words ignore case, those of issuers do not.
ANY_CASE = {name for name, form in FORMS.items() if "(?P<before" in form}


def _form(number: int, name: str) -> str:
    form = FORMS[name].format(number) if name in ANY_CASE else FORMS[name]
    return f"(?P<form{number}>(?i:{form}))" if name in ANY_CASE else f"(?P<form{number}>{form})"


ANY = re.compile("|".join(_form(number, name) for number, name in enumerate(NAMES)), re.DOTALL)
# Each form contains one of these, so a text without any has no secret.
HINT = re.compile(
    r"-----BEGIN|ya29\.|1//0|AIza|GOCSPX|eyJ|AKIA|ASIA|gh[pousr]_|github_pat_|glpat-|hf_|wandb_v1|xox|pypi-|sk-|://|[?&]"
    r"|(?i:bearer|key|token|secret|passw|authorization)"
)


def kind_of(text: str) -> str:
    """The kind of secret in a text, such as ``a GitHub token``, if any."""
    if not HINT.search(text):
        return ""
    match = ANY.search(text)
    return NAMES[int((match.lastgroup or "").removeprefix("form"))] if match else ""


def mask(text: str) -> str:
    """The text with each secret replaced by its kind."""
    return ANY.sub(_mask, text) if HINT.search(text) else text


def _mask(match: re.Match[str]) -> str:
    number = (match.lastgroup or "").removeprefix("form")
    before = match.groupdict().get(f"before{number}") or ""
    return f"{before}[removed: {NAMES[int(number)]}]"


def find(value: Any, where: str = "") -> tuple[str, str]:
    """The location and kind of a secret in a JSON value; two empty strings if there is none."""
    if isinstance(value, str):
        kind = kind_of(value) or kind_of(f"{where.rpartition('.')[2]}={value}")
        return (where, kind) if kind else ("", "")
    parts: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, Mapping):
        if kind := next((kind for key in value if (kind := kind_of(str(key)))), ""):
            return where or "a name", kind
        parts = value.items()
    elif isinstance(value, list | tuple):
        parts = enumerate(value)
    for name, part in parts:
        location, kind = find(part, f"{where}.{name}" if where else str(name))
        if kind:
            return location, kind
    return "", ""


def redact(value: Any, name: str = "") -> Any:
    """A JSON value with all secrets masked, including the values of names such as ``password``."""
    if isinstance(value, str):
        kind = "" if kind_of(value) else kind_of(f"{name}={value}")
        return f"[removed: {kind}]" if kind else mask(value)
    if isinstance(value, Mapping):
        return {mask(key) if isinstance(key, str) else key: redact(part, str(key)) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [redact(part, name) for part in value]
    return value
