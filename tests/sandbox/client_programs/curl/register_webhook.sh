#!/usr/bin/env bash
# Has Gemini call a URL whenever a batch ends, `register_webhook.sh https://…`.
# Prints the webhook's id. Its signing secret, which is shown only once, goes to `webhook-secret`.
set -euo pipefail
host=${GOOGLE_GEMINI_BASE_URL:-https://generativelanguage.googleapis.com}
gemini() { curl -sS --fail-with-body -H "x-goog-api-key: $GEMINI_API_KEY" "$@"; }

webhook=$(
    jq -n --arg url "$1" '{
        name: "ended",
        uri: $url,
        subscribed_events: ["batch.succeeded", "batch.failed", "batch.cancelled", "batch.expired"]
    }' | gemini --json @- "$host/v1beta/webhooks"
)
umask 077
jq -j .new_signing_secret <<<"$webhook" >webhook-secret
jq -r .id <<<"$webhook"
