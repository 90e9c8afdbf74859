#!/usr/bin/env bash
# Asks for birds as JSON of a given shape, waits, and prints a line per bird.
set -euo pipefail
host=${GOOGLE_GEMINI_BASE_URL:-https://generativelanguage.googleapis.com}
gemini() { curl -sS --fail-with-body -H "x-goog-api-key: $GEMINI_API_KEY" "$@"; }

# Gives the batch once it has ended.
ended() {
    local batch
    batch=$(gemini "$host/v1beta/$1") || return
    until jq -e .done <<<"$batch" >/dev/null; do
        sleep "${POLL_SECONDS:-30}"
        batch=$(gemini "$host/v1beta/$1") || return
    done
    echo "$batch"
}

places='["the Alps", "the North Sea"]'
name=$(
    jq '
        {type: "OBJECT", required: ["name", "wingspan_cm"], properties: {
            name: {type: "STRING"}, wingspan_cm: {type: "INTEGER"}
        }} as $bird |
        [.[] | {metadata: {key: .}, request: {
            contents: [{parts: [{text: "Which large birds live in \(.)?"}]}],
            generationConfig: {
                responseMimeType: "application/json",
                responseSchema: {type: "ARRAY", items: $bird}
            }
        }}] | {batch: {inputConfig: {requests: {requests: .}}}}
    ' <<<"$places" |
        gemini --json @- "$host/v1beta/models/gemini-3.8-flash:batchGenerateContent" |
        jq -r .name
)
ended "$name" | jq -r '
    .response.inlinedResponses.inlinedResponses[] | .metadata.key as $place |
    [.response.candidates[0].content.parts[]? | select(.thought | not) | .text] | add |
    if . then fromjson[] | "\($place): \(.name), \(.wingspan_cm) cm" else "\($place): no answer" end
'
