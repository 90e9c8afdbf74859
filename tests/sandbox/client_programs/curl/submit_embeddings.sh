#!/usr/bin/env bash
# Embeds an uploaded input file and two texts, `submit_embeddings.sh files/ID`.
# Prints the names of the two batches.
set -euo pipefail
host=${GOOGLE_GEMINI_BASE_URL:-https://generativelanguage.googleapis.com}
gemini() { curl -sS --fail-with-body -H "x-goog-api-key: $GEMINI_API_KEY" "$@"; }

# Creates a batch of the input configuration on stdin, with the display name given.
embed() {
    jq --arg title "$1" '{batch: {displayName: $title, inputConfig: .}}' |
        gemini --json @- "$host/v1beta/models/gemini-embedding-2:asyncBatchEmbedContent" |
        jq -r .name
}

jq -n --arg file "$1" '{file_name: $file}' | embed 'embeddings of a file'
jq -n '
    ["The harbour at dawn", "A market hall at noon"] |
    map({request: {content: {parts: [{text: .}]}, outputDimensionality: 256}}) |
    {requests: {requests: .}}
' | embed 'embeddings of two texts'
