#!/usr/bin/env bash
# Lists all batches, the newest first: name, state, display name. `list_batches.sh [PAGE_SIZE]`.
set -euo pipefail
host=${GOOGLE_GEMINI_BASE_URL:-https://generativelanguage.googleapis.com}
gemini() { curl -sS --fail-with-body -H "x-goog-api-key: $GEMINI_API_KEY" "$@"; }

token=
until [[ $token == end ]]; do
    page=$(gemini "$host/v1beta/batches?pageSize=${1:-50}&pageToken=$token")
    jq -r '
        .operations[]? |
        [.name, (.metadata.state | sub(".*_STATE_"; "")), .metadata.displayName // "-"] | @tsv
    ' <<<"$page"
    token=$(jq -r '.nextPageToken // "end" | @uri' <<<"$page")
done
