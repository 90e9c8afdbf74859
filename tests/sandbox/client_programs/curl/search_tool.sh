#!/usr/bin/env bash
# Asks one question twice, once with Google Search at hand; prints the batch's name.
set -euo pipefail
host=${GOOGLE_GEMINI_BASE_URL:-https://generativelanguage.googleapis.com}
gemini() { curl -sS --fail-with-body -H "x-goog-api-key: $GEMINI_API_KEY" "$@"; }

question='Which comets can be seen without a telescope this month?'
jq -n --arg question "$question" '
    {contents: [{parts: [{text: $question}]}]} as $request |
    [
        {metadata: {key: "from memory"}, request: $request},
        {metadata: {key: "searched"}, request: ($request + {
            tools: [{googleSearch: {}}]
        })}
    ] | {batch: {inputConfig: {requests: {requests: .}}}}
' |
    gemini --json @- "$host/v1beta/models/gemini-3.8-flash:batchGenerateContent" |
    jq -r .name
