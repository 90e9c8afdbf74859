#!/usr/bin/env bash
# Sends two questions within the call that creates the batch; prints the batch's name.
set -euo pipefail
host=${GOOGLE_GEMINI_BASE_URL:-https://generativelanguage.googleapis.com}
gemini() { curl -sS --fail-with-body -H "x-goog-api-key: $GEMINI_API_KEY" "$@"; }

questions='{
    "tides": "What causes the tides? Two sentences, please.",
    "rust": "How does iron turn into rust?"
}'
jq '
    [to_entries[] | {metadata: {key}, request: {contents: [{parts: [{text: .value}]}]}}] |
    {batch: {displayName: "two questions", inputConfig: {requests: {requests: .}}}}
' <<<"$questions" |
    gemini --json @- "$host/v1beta/models/gemini-3.8-flash:batchGenerateContent" |
    jq -r .name
