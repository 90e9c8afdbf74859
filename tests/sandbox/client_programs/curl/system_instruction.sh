#!/usr/bin/env bash
# Asks one question twice, once of a pirate; prints the batch's name.
set -euo pipefail
host=${GOOGLE_GEMINI_BASE_URL:-https://generativelanguage.googleapis.com}
gemini() { curl -sS --fail-with-body -H "x-goog-api-key: $GEMINI_API_KEY" "$@"; }

question='Where should I look for shells?'
jq -n --arg question "$question" '
    {contents: [{parts: [{text: $question}]}]} as $request |
    [
        {metadata: {key: "plain"}, request: $request},
        {metadata: {key: "pirate"}, request: ($request + {
            systemInstruction: {parts: [{text: "Answer as an old pirate would."}]}
        })}
    ] | {batch: {inputConfig: {requests: {requests: .}}}}
' |
    gemini --json @- "$host/v1beta/models/gemini-3.8-flash:batchGenerateContent" |
    jq -r .name
