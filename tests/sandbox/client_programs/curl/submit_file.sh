#!/usr/bin/env bash
# Creates a batch of an uploaded input file, `submit_file.sh files/ID`; prints the batch's name.
set -euo pipefail
host=${GOOGLE_GEMINI_BASE_URL:-https://generativelanguage.googleapis.com}
gemini() { curl -sS --fail-with-body -H "x-goog-api-key: $GEMINI_API_KEY" "$@"; }

jq -n --arg file "$1" '
    {batch: {displayName: "questions from a file", inputConfig: {fileName: $file}}}
' |
    gemini --json @- "$host/v1beta/models/gemini-3.8-flash:batchGenerateContent" |
    jq -r .name
