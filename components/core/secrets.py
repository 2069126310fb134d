"""Secrets in texts: recognised by their form, refused as settings, and masked in records and messages.

A form is a rule of the issuer (a prefix, a structure) or of the context (an address, a header, an assignment, an
option). A secret without a form of its own, such as forty hexadecimal digits, which may be a commit, is recognised by
its name only. The prefixes and lengths are those that the issuers document and that gitleaks (config/gitleaks.toml) and
detect-secrets (plugins/) look for.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple


class Form(NamedTuple):
    """How one kind of secret looks.

    Attributes:
        kind: what it is called when it is refused or masked.
        hints: a text, in small letters, that contains none of these words has no such secret.
        pattern: a regular expression, compiled when it is needed for the first time. Its groups ``before`` and
            ``quote``, if any, precede the secret and may be shown. Repetitions before the secret are bounded, so that
            the time is linear in the length of a text.
        flags: of the pattern.
        gate: a quicker pattern that a text in small letters matches if it has such a secret; may be empty.
    """

    kind: str
    hints: tuple[str, ...]
    pattern: str
    flags: re.RegexFlag
    gate: str


# Kind, hints, pattern. The first character of a token does not continue a word.
ISSUED = (
    (
        "a private key",
        "-----begin",
        (
            r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
            r"(?:.*?-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|.*)"
        ),
    ),
    ("an age key", "age-secret-key-1", r"AGE-SECRET-KEY-1[A-Z0-9]{20,}"),
    # Clouds.
    ("a Google access token", "ya29.", r"ya29\.[\w-]{16,}(?:\.[\w-]+)*"),
    ("a Google refresh token", "1//0", r"(?<!/)1//0[\w-]{20,}"),
    ("a Google API key", "aiza", r"AIza[\w-]{30,}"),
    ("a Google client secret", "gocspx-", r"GOCSPX-[\w-]{20,}"),
    ("a Google storage key", "goog1e", r"GOOG1E[A-Z0-9]{50,}"),
    ("an AWS access key", "akia asia abia acca", r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])"),
    ("an AWS Bedrock key", "absk bedrock-api-key-", r"(?:ABSK[A-Za-z0-9+/]{100,}=*|bedrock-api-key-[\w+/=.-]{16,})"),
    ("an Azure client secret", "q~", r"[\w~.]{3}\dQ~[\w~.-]{31,34}(?![\w~.-])"),
    ("an Alibaba access key", "ltai", r"LTAI[A-Za-z0-9]{16,24}(?![A-Za-z0-9])"),
    ("a Tencent access key", "akid", r"AKID[A-Za-z0-9]{32}(?![A-Za-z0-9])"),
    ("a Yandex token", "aqvn t1.", r"(?:AQVN[\w-]{35,}|t1\.[A-Z0-9a-z_-]{20,80}={0,2}\.[A-Z0-9a-z_-]{40,}={0,2})"),
    ("a DigitalOcean token", "dop_v1_ doo_v1_ dor_v1_", r"do[opr]_v1_[a-f0-9]{32,}"),
    ("a Heroku key", "hrku-", r"HRKU-AA[\w-]{20,}"),
    ("a Fly.io token", "fm1_ fm2_ fo1_", r"(?:fo1_[\w-]{40,}|fm[12][ar]?_[\w+/=]{60,})"),
    ("a Cloudflare key", "v1.0-", r"v1\.0-[a-f0-9]{24}-[a-f0-9]{100,}"),
    ("an OpenShift token", "sha256~", r"sha256~[\w-]{40,}"),
    # Code, packages and images.
    (
        "a GitHub token",
        "ghp_ gho_ ghu_ ghs_ ghr_ github_pat_",
        r"(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{30,})",
    ),
    ("a GitLab token", "gl", r"gl(?:pat|dt|rt|rtr|cbt|ptt|ft|soat|imt|agent|oas|ffct|wt)-[\w.-]{16,}"),
    ("an Atlassian token", "atatt3 atbb atctt3", r"(?:AT[AC]TT3[\w=-]{50,}|ATBB[A-Za-z0-9]{24,})"),
    ("a PyPI token", "pypi-ageic", r"pypi-AgEI[\w-]{20,}"),
    ("an npm token", "npm_", r"npm_[A-Za-z0-9]{36}"),
    ("a RubyGems token", "rubygems_", r"rubygems_[a-f0-9]{32,}"),
    ("a Docker Hub token", "dckr_", r"dckr_[po]at_[\w-]{20,}"),
    ("an Artifactory token", "akcp cmvmdgtu", r"(?:AKCp[A-Za-z0-9]{60,}|cmVmdGtu[A-Za-z0-9+/=]{40,})"),
    ("a Terraform token", ".atlasv1.", r"[A-Za-z0-9]{14}\.atlasv1\.[\w=-]{40,}"),
    ("a Pulumi token", "pul-", r"pul-[a-f0-9]{40}"),
    ("a Vault token", "hvs. hvb. hvr.", r"hv[sbr]\.[\w-]{20,}"),
    ("a Doppler token", "dp.", r"dp\.(?:pt|st|ct|sa|scim|audit)\.(?:[\w-]{2,35}\.)?[A-Za-z0-9]{40,}"),
    ("a 1Password token", "ops_eyj", r"ops_eyJ[\w+/-]{60,}={0,3}"),
    # Models and data.
    ("a Hugging Face token", "hf_ api_org_", r"(?:hf_|api_org_)[A-Za-z0-9]{30,}"),
    ("a Weights & Biases key", "wandb_v1", r"wandb_v1_\w{20,}"),
    (
        "a Kaggle key",
        "kgat_ username",
        (
            r"(?:KGAT_[A-Za-z0-9]{32}|(?P<before>\\?[\"']username\\?[\"']\s?:\s?\\?[\"'][^\"'\\]{1,80}\\?[\"'],\s?"
            r"\\?[\"']key\\?[\"']\s?:\s?\\?[\"'])[a-f0-9]{32})"
        ),
    ),
    ("an API key", "sk-", r"sk-(?=[A-Za-z_-]{0,200}\d)[\w-]{32,}"),
    ("an API key", "gsk_ xai- pplx- r8_ pcsk_ nvapi- csk-", r"(?:gsk_|xai-|pplx-|r8_|pcsk_|nvapi-|csk-)[\w-]{32,}"),
    ("a LangSmith key", "lsv2_", r"lsv2_(?:pt|sk)_[a-f0-9]{32}_[a-f0-9]{10}"),
    ("a Databricks token", "dapi dose", r"(?:dapi|dose)[a-f0-9]{32}(?:-\d)?"),
    ("a PlanetScale token", "pscale_", r"pscale_(?:tkn|pw|oauth)_[\w.=-]{20,}"),
    ("a Prefect key", "pnu_ pnb_", r"pn[ub]_[a-zA-Z0-9]{36}"),
    # Services that report, bill and send.
    ("a Slack token", "xox xapp-", r"(?:xox[a-z](?:\.xox[a-z])?-[\w-]{10,}|xapp-\d-[\w-]{10,})"),
    (
        "a Slack address",
        "hooks.slack.com",
        r"(?P<before>hooks\.slack\.com/)(?:services|workflows|triggers)/[\w/-]{20,}",
    ),
    ("a Discord address", "discord", r"(?P<before>discord(?:app)?\.com/api/webhooks/\d{10,30}/)[\w-]{30,}"),
    ("a Teams address", "webhook.office.com", r"(?P<before>webhook\.office\.com/)webhookb2/[\w@/-]{40,}"),
    ("a Telegram token", ":aa", r"\d{8,10}:AA[\w-]{33}(?![\w-])"),
    ("a Stripe key", "_live_ _test_ whsec_", r"(?:(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{10,}|whsec_[A-Za-z0-9+/=]{24,})"),
    ("a Square token", "sq0", r"sq0(?:atp|csp|idp)-[\w-]{20,}"),
    ("a Shopify token", "shp", r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}"),
    ("a SendGrid key", "sg.", r"SG\.[\w-]{16,32}\.[\w-]{32,64}"),
    ("a Mailgun key", "key-", r"key-[a-f0-9]{32}(?![\w-])"),
    ("a Mailchimp key", "-us", r"[a-f0-9]{32}-us\d{1,2}(?!\d)"),
    ("a Twilio key", "sk", r"SK[a-f0-9]{32}(?![A-Za-z0-9])"),
    ("a Grafana token", "glc_ glsa_", r"(?:glc_[A-Za-z0-9+/]{32,}={0,3}|glsa_[A-Za-z0-9]{32}_[A-Fa-f0-9]{8})"),
    ("a New Relic key", "nrak- nrjs- nrii- nral", r"(?:NR(?:AK|JS|II)-[\w-]{19,}|[a-f0-9]{36}NRAL)"),
    ("a Sentry token", "sntry", r"sntry[su]_[\w+/=]{40,}"),
    ("a Linear key", "lin_api_", r"lin_api_[A-Za-z0-9]{32,}"),
    ("a Notion token", "ntn_ secret_", r"(?:ntn_[A-Za-z0-9]{40,}|secret_[A-Za-z0-9]{43})(?![A-Za-z0-9])"),
    ("a Postman key", "pmak-", r"PMAK-[a-f0-9]{24}-[a-f0-9]{34}"),
    ("a Figma token", "figd_", r"figd_[\w-]{40,}"),
    ("a Dropbox token", "sl.", r"sl\.(?:u\.)?[\w=-]{100,}"),
    ("a JSON Web Token", "eyj", r"(?<![\w-])eyJ[\w-]{8,}\.eyJ[\w-]{8,}(?:\.[\w-]*)?"),
)
# What stands where a secret would and is none: references to it, types, words of a sentence.
REFERENCE = (
    r"\[removed|\$\{|\$\(|\{\{|\{\}|%\(|-----BEGIN|<[^>\n]{0,80}>|\$[A-Za-z_]\w{0,60}(?![^\s\"',;&)\\])|%[sdr](?!\w)"
    r"|[*x.•]{2,80}(?![^\s\"',;&)\]}\\])|(?:self|cls|os|args|options|settings|config|kwargs|request)\.[a-z]"
)
WORD = (
    r"(?:none|null|nil|undefined|true|false|yes|no|on|off|str|string|bytes|int|any|optional|secretstr|field|getpass|"
    r"prompt|input|env|environ|getenv|redacted|hidden|masked|required|missing|invalid|incorrect|wrong|expired|denied|"
    r"failed|rejected|disabled|enabled|unset|empty|unknown|changed|accepted|ok|must|is|was|are|has|have|had|not|should|"
    r"cannot|can|may|will|a|an|the|this|that|it|its|of|or|and|with|without|for|from|to|in|at|by|if|as|but|please|"
    r"given|give|set|see|use|enter|choose|leave|keep|try)"
)
NO_CODE = r"(?![a-z_]\w{0,60}(?:\.[a-z_]\w{0,60}){0,5}[(\[]|[a-z_]{1,60}(?:\.[a-z_]{1,60}){1,5}(?![\w.+/=-]))"
NO_NUMBER = r"(?![-+]?[\d.,]{1,40}(?:e[-+]?\d{1,4})?%?(?![\w+/=.-]))"
NO_PATH = (
    r"(?!(?:~|\.{1,2})?/(?:etc|run|var|home|secrets?|mnt|tmp|opt|root|usr|srv|data|workspace|dev)/|projects/|arn:)"
)
# Keys and tokens are not words: they hold a digit or a change of case, or are long.
NO_WORD = r"(?=[^\s\"'`&,;<>]{0,80}\d|[^\s\"'`&,;<>]{0,80}(?-i:[a-z][A-Z])|[^\s\"'`&,;<>]{20})"
UNQUOTED = r"(?:[^\s\"'`\\&,;<>]|\\(?![\\\"'nrtu]))"


def _value(least: int, unlike: str = "") -> str:
    """A value of at least so many characters, in quotation marks, which may be escaped, or without."""
    return (
        rf"(?:(?P<quote>\\{{0,15}}[\"'])(?!{REFERENCE}|{WORD}(?P=quote)){unlike}"
        rf"(?:(?!(?P=quote))(?:\\[^\n]|[^\n\\])){{{least},4000}}"
        rf"|(?!{REFERENCE}|{WORD}(?=[.:?!]?(?:[\s\"'`,;&()\[\]}}<\\]|$))|[()\[\]{{}}|]){unlike}"
        rf"{UNQUOTED}{{{least},4000}}(?<![)\]}}]))"
    )


# What stands between a name and its value: signs, the closing of an element or an index, or a field "value".
IS = (
    r"(?>\\{0,15}[\"'`]?\]?[ \t]{0,4}(?::=|=>|={1,3}|:|%3[ad])[ \t]{0,4}(?:[bu](?=[\"']))?"
    r"|>(?=[^<\s])|\\{0,15}[\"']?[,;]?\s{0,20}\\{0,15}[\"']?value\\{0,15}[\"']?[ \t]{0,4}[:=][ \t]{0,4})"
)
SUFFIX = r"(?:[_-]?(?:\d{1,3}|value|hash|old|new|confirm|confirmation|text|str|b64|base64|plain|encrypted))?"
# The shell's PWD is a folder; a "pass" is also a round, which is counted.
PASSWORD = (
    r"(?:passw(?:or)?d|passwort|passphrase|passcode|pwd(?!\\{0,15}[\"'`]?[ \t]{0,4}[:=][ \t]{0,4}[\"']?[/~.])"
    r"|(?:[_.-]pass|(?-i:(?<=[a-z])Pass)|(?<![\w-])pass(?=\\{0,15}[\"'`]?[ \t]{0,4}=))"
    r"(?!\\{0,15}[\"'`]?[ \t]{0,4}[:=][ \t]{0,4}[\d.,]{1,20}(?!\w)))"
)
KEY = (
    r"(?:(?:api|access|account|secret|private|auth|encryption|signing|shared|master|service|subscription|storage|license|"
    r"hmac|deploy|ssh|consumer|app)[ _.-]?key|secret|(?:php|j)sessi(?:on)?(?:d|id)|sessionid)"
)
TOKEN = (
    r"(?:(?:auth|access|refresh|id|session|security|bearer|csrf|xsrf|api|private|identity|bot|user)[ _.-]?token|"
    r"(?<!pad[_-])(?<!bos[_-])(?<!eos[_-])(?<!unk[_-])(?<!cls[_-])(?<!sep[_-])(?<!oov[_-])(?<!mask[_-])(?<!per[_-])"
    r"(?<!next[_-])(?<!page[_-])(?<![a-z])token|(?-i:(?<=[a-z])Token)|credentials?|(?<![\w-])_?auth(?=\\{0,15}[\"']))"
)
NAMED, ADDRESSED, OPTION = "a secret by its name", "a password in an address", "a password on a command line"
# Between a name and what says that its value follows.
GATE = r"[\w-]{0,16}[^\w\s]{0,6}\s{0,20}[\"'\\]{0,4}(?:[=:>%]|value)"
# Kind, hints, pattern, gate.
CONTEXT = (
    # The first sign @ that no other follows before the path; a colon that no port follows begins a password with any.
    (
        ADDRESSED,
        "://",
        (
            r"(?P<before>://)(?:[^\s/@:\"'<>\[?#]{0,200}:[^\s/?#\"'<>]{1,400}(?=@(?!sha256:))"
            r"|[^\s/@:\"'<>\[?#]{0,200}:(?!\d{1,5}[/?#])[^\s\"'<>]{1,400}?(?=@(?!sha256:))|[\w.~%+-]{20,400}(?=@))"
        ),
    ),
    (ADDRESSED, "@tcp( @unix(", r"(?P<before>(?<![\w.-])[\w.-]{1,60}:)[^\s\"']{1,200}(?=@(?:tcp|unix)\()"),
    (
        "a signature or token in an address",
        "? & #",
        (
            r"(?P<before>[?&#](?:[\w.-]{0,40}(?:token|signature|credential|password|passwd|pwd|secret|api[_-]?key|jwt)|sig|"
            r"key|pass|auth|sid|awsaccesskeyid|code(?==[\w%./-]{16}))=)(?!\[removed|\$\{|<)[^&#\s\"'<>]{3,}"
        ),
    ),
    (
        "an authorization header",
        "authorization",
        (
            r"(?P<before>authorization(?:\\{0,15}[\"'`]?\s{0,4}(?:[=:>]|%3a){1,2}\s{0,4}\\{0,15}[\"']?b?[\"']?|[\"'],\s?[\"']))"
            r"(?!\[removed|[)\]])(?:"
            r"(?:aws4-hmac-sha256|digest)[ \t][^\n']{1,4000}"
            r"|(?:basic|bearer|token|api-?key|key|negotiate|ntlm|hawk|googlelogin|oauth)(?:\s|%20){1,4}"
            rf"(?!{REFERENCE})[^\s\"'\\<>]{{1,4000}}|(?!{WORD}\b)[^\s\"'\\<>]{{8,4000}})"
        ),
    ),
    (
        "a bearer token",
        "bearer",
        r"(?P<before>\bbearer(?:\s|%20){1,4})(?:[\w.~+/-]{16,}|(?=[A-Za-z._-]{0,20}\d)[\w.~+/-]{6,15})=*",
    ),
    (
        "a cookie",
        "cookie --cookie",
        (
            r"(?P<before>cookies?\\{0,15}[\"'`]?(?:[ \t]{0,3}[:=][ \t]{0,3}|[ \t]{1,3})\\{0,15}[\"'{]?)"
            r"(?:(?<=\{)[^}\n]{1,4000}|[\w.$-]{1,80}=(?!\[removed)[^\n\"'<>]{1,4000})"
        ),
    ),
    (
        OPTION,
        "curl wget --auth",
        (
            r"(?P<before>(?<![\w-])(?:-[a-zA-Z]{0,8}u|--(?:proxy-)?user|--auth)"
            r"(?:\\?[\"'],)?[ =]{0,2}(?P<opened>\\?[\"'])?)"
            r"(?!\d{1,9}:\d{1,9}(?!\S)|[$<\[-])[^\s\"':/\\]{1,100}:(?![$<\[*])"
            r"(?(opened)[^\"'\\\n]{1,400}|[^\s\"'\\]{1,400})"
        ),
    ),
    (
        OPTION,
        "sshpass mysql mariadb mongo login redis-cli ldap passin passout -pass",
        r"(?P<before>(?:(?<![\w-])sshpass[ \t]{1,3}-p ?|"
        r"(?:mysql|mariadb)[\w-]{0,10}[ \t][^\n]{0,200}?(?<=[ \t])-p(?=\S)|"
        r"(?:mongo\w{0,10}|login)[ \t][^\n]{0,200}?(?<=[ \t])-p[ \t]{1,3}|"
        r"redis-cli[ \t][^\n]{0,200}?(?<=[ \t])-a[ \t]{1,3}|"
        r"ldap\w{1,10}[ \t][^\n]{0,200}?(?<=[ \t])-w[ \t]{1,3}|-pass(?:in|out)?[ \t]{1,3}pass:|"
        r"(?<![\w-])login[ \t]{1,3}\S{1,80}\s{1,4}password[ \t]{1,3}))" + _value(1),
    ),
    (
        OPTION,
        "--",
        r"(?P<before>(?<![\w-])--[\w-]{0,40}(?:(?:password|passwd|passphrase|pwd|pass)(?:[\"'],)?[ \t]{1,4}|"
        r"(?:token|secret|(?:api|access|secret|private|auth|account)-?key)(?:[\"'],)?[ \t]{1,4}(?=[\"']?[^\s\"']{8})"
        rf"{NO_WORD}{NO_NUMBER}{NO_PATH}))(?!-|[\"']?(?-i:TEXT|STRING|PASSWORD|TOKEN|SECRET|KEY|VALUE|FILE|PATH|NAME)\b)"
        + _value(1),
        r"--[\w-]{0,40}(?:pass|pwd|token|secret|key)",
    ),
    (
        OPTION,
        "auth",
        (
            r"(?P<before>(?<![A-Za-z])auth[ \t]{0,2}[=:][ \t]{0,2}[\[(][\"'][^\"'\n]{0,100}[\"'],[ \t]{0,2}[\"'])"
            r"(?!\[removed)[^\"'\n]{1,400}"
        ),
    ),
    (
        NAMED,
        "password identified",
        r"(?P<before>(?:password|identified by)[ \t]{1,4}(?=[\"']))" + _value(1),
    ),
    (
        NAMED,
        "pass pwd",
        rf"(?P<before>{PASSWORD}{SUFFIX}{IS})" + _value(1),
        rf"(?:pass|pwd){GATE}",
    ),
    (
        NAMED,
        "key secret sessi",
        rf"(?P<before>{KEY}{SUFFIX}{IS})" + _value(6, NO_NUMBER + NO_PATH + NO_CODE),
        rf"(?:key|secret|sessi\w{{0,4}}){GATE}",
    ),
    (
        NAMED,
        "token credential auth",
        rf"(?P<before>{TOKEN}{SUFFIX}{IS})" + _value(8, NO_NUMBER + NO_PATH + NO_WORD + NO_CODE),
        rf"(?:token|credential|auth){GATE}",
    ),
)
# In the order in which a text is searched: what an issuer marks is named by its issuer.
FORMS = (
    *(Form(kind, tuple(hints.split()), rf"(?<![A-Za-z0-9]){one}", re.DOTALL, "") for kind, hints, one in ISSUED),
    *(Form(kind, tuple(hints.split()), one, re.IGNORECASE, "".join(gate)) for kind, hints, one, *gate in CONTEXT),
)
HINTS = tuple((hint, number) for number, form in enumerate(FORMS) for hint in form.hints)


def _candidates(text: str) -> Iterator[tuple[str, re.Pattern[str]]]:
    """The kinds of secrets that a text may contain, each with its pattern."""
    small = text.lower()
    for number in sorted({number for hint, number in HINTS if hint in small}):
        form = FORMS[number]
        if not form.gate or re.search(form.gate, small):
            yield form.kind, re.compile(form.pattern, form.flags)


def kind_of(text: str) -> str:
    """The kind of secret in a text, such as ``a GitHub token``, if any."""
    return next((kind for kind, pattern in _candidates(text) if pattern.search(text)), "")


def mask(text: str) -> str:
    """The text with each secret replaced by its kind."""
    for kind, pattern in _candidates(text):
        text = pattern.sub(partial(_mask, f"[removed: {kind}]"), text)
    return text


def _mask(instead: str, match: re.Match[str]) -> str:
    groups = match.groupdict()
    return (groups.get("before") or "") + (groups.get("quote") or "") + instead


class LineMasker:
    """Masks a text that comes line by line, in which a private key may stretch over several lines."""

    BEGINS = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?!.*-----END)")
    ENDS = re.compile(r"^.*?-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
    # Base64, or a header such as "Proc-Type: 4,ENCRYPTED"; where anything else follows, the key is not continued.
    BODY = re.compile(r"[\sA-Za-z0-9+/=|>'\"\\]*|\s*[A-Za-z-]{1,20}: [\w,.() -]*")

    def __init__(self) -> None:
        self.in_key = False

    def mask(self, line: str) -> str:
        """A line, without its end, with each secret replaced by its kind."""
        if self.in_key:
            if ends := self.ENDS.match(line):
                self.in_key = False
                return f"[removed: {FORMS[0].kind}]{mask(line[ends.end() :])}"
            if self.BODY.fullmatch(line):
                return f"[removed: {FORMS[0].kind}]"
        self.in_key = self.BEGINS.search(line) is not None
        return mask(line)


def _kind_under(name: str, value: Any) -> str:
    """The kind of secret that a value is by its name, if any."""
    if not name or not isinstance(value, str | int | float) or isinstance(value, bool):
        return ""
    return kind_of(f"{name}={json.dumps(value) if isinstance(value, str) else value}")


def _parts(value: Any, name: str) -> Iterable[tuple[Any, str, Any]]:
    """The parts of a JSON value: key, the name that says what the part is, part."""
    if isinstance(value, Mapping):
        # {"name": "API_KEY", "value": ...}, as in a container's environment.
        named = str(value.get("name") or value.get("key") or "value")
        return ((key, named if key == "value" else str(key), part) for key, part in value.items())
    if isinstance(value, list | tuple):
        return ((index, name, part) for index, part in enumerate(value))
    return ()


def find(value: Any, where: str = "", name: str = "") -> tuple[str, str]:
    """The location and kind of a secret in a JSON value; two empty strings if there is none."""
    if kind := (kind_of(value) if isinstance(value, str) else "") or _kind_under(name, value):
        return where, kind
    if isinstance(value, Mapping) and (kind := next((kind for key in value if (kind := kind_of(str(key)))), "")):
        return where or "a name", kind
    for key, part_name, part in _parts(value, name):
        location, kind = find(part, f"{where}.{key}" if where else str(key), part_name)
        if kind:
            return location, kind
    return "", ""


def redact(value: Any, name: str = "") -> Any:
    """A JSON value with all secrets masked, including the values of names such as ``password``."""
    if isinstance(value, Mapping):
        return {mask(key) if isinstance(key, str) else key: redact(part, n) for key, n, part in _parts(value, name)}
    if isinstance(value, list | tuple):
        return [redact(part, part_name) for _, part_name, part in _parts(value, name)]
    if isinstance(value, str) and kind_of(value):
        return mask(value)
    kind = _kind_under(name, value)
    return f"[removed: {kind}]" if kind else value
