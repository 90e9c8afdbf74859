#!/usr/bin/env bash
# Waits until a batch has ended, `wait.sh batches/ID`, and prints how.
# Exits with 1, and the reason, where the batch has not succeeded.
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

batch=$(ended "$1")
state=$(jq -r .metadata.state <<<"$batch")
echo "${state##*_STATE_}" # BATCH_STATE_SUCCEEDED here, JOB_STATE_SUCCEEDED in the SDKs
if [[ $state != *_STATE_SUCCEEDED ]]; then
    jq -r '.error.message // "Gemini gives no reason"' <<<"$batch" >&2
    exit 1
fi
