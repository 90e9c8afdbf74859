#!/usr/bin/env bash
# Deletes a batch, so that no list shows it any more: `delete_batch.sh batches/ID`.
set -euo pipefail
host=${GOOGLE_GEMINI_BASE_URL:-https://generativelanguage.googleapis.com}
gemini() { curl -sS --fail-with-body -H "x-goog-api-key: $GEMINI_API_KEY" "$@"; }

gemini -X DELETE -o /dev/null "$host/v1beta/$1"
echo "$1 is deleted"
