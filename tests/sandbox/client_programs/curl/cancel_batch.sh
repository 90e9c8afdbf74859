#!/usr/bin/env bash
# Cancels a batch, `cancel_batch.sh batches/ID`, and prints its state after that.
set -euo pipefail
host=${GOOGLE_GEMINI_BASE_URL:-https://generativelanguage.googleapis.com}
gemini() { curl -sS --fail-with-body -H "x-goog-api-key: $GEMINI_API_KEY" "$@"; }

gemini -X POST -o /dev/null "$host/v1beta/$1:cancel"
gemini "$host/v1beta/$1" | jq -r '.metadata.state | sub(".*_STATE_"; "")'
