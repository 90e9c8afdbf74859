"""Every setting that the program reads, with its default and meaning as the README and `--help` show them."""

from receiver.settings.environment import Variable
from receiver.settings.notice_targets import NOTICE_VARIABLES

DEFAULT_BASE_URL = "https://generativelanguage.googleapis.com"

VARIABLES = (
    Variable(
        "GEMINI_API_KEY",
        "required without a named project",
        "API key of the Gemini project; `GOOGLE_API_KEY` is read when it is unset",
    ),
    Variable(
        "GEMINI_WEBHOOK_SECRET",
        "none",
        "signing secret of the registered webhook (`whsec_…`); several, separated by spaces or commas, during a"
        " rotation; `WEBHOOK_SIGNING_SECRET` is read when it is unset",
    ),
    Variable(
        "GEMINI_BASE_URL", DEFAULT_BASE_URL, "where the Gemini API is; https, or http on loopback"
    ),
    Variable("GEMINI_API_VERSION", "v1beta", "version segment of the API's paths"),
    Variable(
        "GEMINI_JWKS_URL",
        "GEMINI_BASE_URL/.well-known/jwks.json",
        "key set that proves dynamic webhooks",
    ),
    Variable(
        "GEMINI_WEBHOOK_AUDIENCE",
        "none",
        "`aud` that a dynamic webhook's JWT must carry; unset refuses JWTs",
    ),
    Variable(
        "GEMINI_API_KEY__NAME",
        "none",
        "API key of one more Gemini project, served at `/webhooks/gemini/name`; `GEMINI_WEBHOOK_SECRET__NAME` and"
        " `GEMINI_WEBHOOK_AUDIENCE__NAME` are its own too",
    ),
    Variable(
        "GEMINI_API_KEY_FILE",
        "none",
        "file that holds the key, in place of `GEMINI_API_KEY`; so can `GEMINI_WEBHOOK_SECRET_FILE`, `REDIS_URL_FILE`"
        " and, for a project, `GEMINI_API_KEY_FILE__NAME`",
    ),
    Variable(
        "PUBLIC_URL",
        "none",
        "where Gemini reaches the web process, such as `https://batches.example.com`, without a path: `webhooks create`"
        " and `doctor` take it, and the web process checks that each project's webhook is there",
    ),
    Variable("REDIS_URL", "redis://127.0.0.1:6379/0", "Redis or Valkey that holds the inbox"),
    Variable(
        "REDIS_CA_FILE",
        "none",
        "PEM file of the private CA that signed the certificate of a `rediss://` address",
    ),
    Variable(
        "REDIS_TLS_VERIFY",
        "true",
        "`false` leaves the certificate of a `rediss://` address unchecked: for self-signed ones such as Heroku's",
    ),
    Variable(
        "STORAGE_URL", "file:outputs", "where outputs go: `file:`, `s3://`, `gs://` or `az://`"
    ),
    Variable("OUTPUT_TEMPLATE", "{batch}/{key}.json", "name of an output below STORAGE_URL"),
    Variable(
        "KEY_PATTERN", "none", "regular expression on the key; its named groups are template fields"
    ),
    Variable(
        "RESULT_KEY",
        "key",
        "member that holds the key of a request, such as `request_id`, in a line's `metadata` or beside it; a line that"
        " lacks it has its usual key",
    ),
    Variable(
        "PRICES_FILE",
        "the built-in list",
        "JSON file with the prices of tokens, in place of the built-in list",
    ),
    Variable(
        "OUTPUT_FORMS",
        "raw",
        "what is written of every answer, separated by commas: `raw` (always), `text`, `thoughts`, `json`, `media`,"
        " `table`",
    ),
    Variable(
        "RESPONSE_SCHEMA",
        "none",
        "JSON Schema that the form `json` is checked against: the name of a file, or the schema itself",
    ),
    Variable(
        "PROOF_KEY",
        "none",
        "key that workers sign manifests with, 32 bytes in base64, such as `openssl rand -base64 32` gives",
    ),
    Variable(
        "SCRATCH_DIR",
        "the system's temporary folder",
        "local folder for results on their way to the storage",
    ),
    Variable(
        "RETRY_BASE_S",
        "5",
        "seconds before the first retry; after a fault of the batch each further one waits four times longer, "
        "after a fault of others twice, up to 15 minutes",
    ),
    Variable(
        "OUTAGE_PATIENCE_S",
        "604800",
        "seconds that a batch waits through faults of Gemini, the network, the storage or a key before it is buried; "
        "a seventh of it where Gemini keeps saying that there is no such thing",
    ),
    Variable(
        "RECONCILE_INTERVAL_S",
        "900",
        "seconds between two looks at Gemini's list of batches for what was missed; 0 turns them off",
    ),
    *NOTICE_VARIABLES,
    Variable("HOST", "127.0.0.1", "address that `serve` listens on; 0.0.0.0 on a PaaS"),
    Variable("PORT", "8000", "port that `serve` listens on"),
    Variable(
        "METRICS_TOKEN",
        "none",
        "token that `GET /metrics` asks for, 16 characters or more; unset turns it off",
    ),
    Variable(
        "STATUS_TOKEN",
        "none",
        "token that the status page asks for, 16 characters or more; unset turns it off",
    ),
    Variable("LOG_LEVEL", "INFO", "DEBUG, INFO, WARNING or ERROR"),
    Variable(
        "LOG_FORMAT",
        "auto",
        "`json`, `text` for people, or `auto`: text on a terminal, JSON anywhere else",
    ),
)
