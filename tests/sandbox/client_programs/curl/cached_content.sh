#!/usr/bin/env bash
# Asks two questions about one cached document, `cached_content.sh cachedContents/ID`.
# Prints the batch's name.
set -euo pipefail
host=${GOOGLE_GEMINI_BASE_URL:-https://generativelanguage.googleapis.com}
gemini() { curl -sS --fail-with-body -H "x-goog-api-key: $GEMINI_API_KEY" "$@"; }

questions='{"who": "Who signed the document?", "when": "On which day was it signed?"}'
jq --arg cache "$1" '
    [to_entries[] | {
        metadata: {key},
        request: {contents: [{parts: [{text: .value}]}], cachedContent: $cache}
    }] | {batch: {inputConfig: {requests: {requests: .}}}}
' <<<"$questions" |
    gemini --json @- "$host/v1beta/models/gemini-3.8-flash:batchGenerateContent" |
    jq -r .name
