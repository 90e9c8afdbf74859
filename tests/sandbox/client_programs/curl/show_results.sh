#!/usr/bin/env bash
# Prints a line per row of a batch that succeeded, `show_results.sh batches/ID`.
# Exits with 1 where there are no results, or not yet.
set -euo pipefail
host=${GOOGLE_GEMINI_BASE_URL:-https://generativelanguage.googleapis.com}
gemini() { curl -sS --fail-with-body -H "x-goog-api-key: $GEMINI_API_KEY" "$@"; }

line_of_row='
    (.key // .metadata.key // "?") + ": " +
    if .error then "error \(.error.code): \(.error.message)"
    elif .response.embedding then "\(.response.embedding.values | length) numbers"
    else
        [.response.candidates[0].content.parts[]? | select(.thought | not).text] | add // ""
    end
'

batch=$(gemini "$host/v1beta/$1")
state=$(jq -r .metadata.state <<<"$batch")
file=$(jq -r '.response.responsesFile // ""' <<<"$batch")
if [[ $state != *_STATE_SUCCEEDED ]]; then
    echo "$1 has no results: $state" >&2
    exit 1
elif [[ $file ]]; then
    gemini "$host/download/v1beta/$file:download?alt=media" | jq -r "$line_of_row"
else
    jq -r ".response.inlinedResponses.inlinedResponses[] | $line_of_row" <<<"$batch"
fi
