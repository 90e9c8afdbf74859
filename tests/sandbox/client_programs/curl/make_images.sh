#!/usr/bin/env bash
# Has two pictures made through an input file, waits, and saves each as KEY.png or the like.
set -euo pipefail
host=${GOOGLE_GEMINI_BASE_URL:-https://generativelanguage.googleapis.com}
gemini() { curl -sS --fail-with-body -H "x-goog-api-key: $GEMINI_API_KEY" "$@"; }

# Uploads a file in one piece and gives its name.
upload() {
    local start url
    start=$(
        gemini -o /dev/null -D - --json '{"file": {"displayName": "pictures"}}' \
            -H 'x-goog-upload-protocol: resumable' -H 'x-goog-upload-command: start' \
            -H 'x-goog-upload-header-content-type: application/jsonl' "$host/upload/v1beta/files"
    )
    url=$(tr -d '\r' <<<"$start" | sed -n 's/^x-goog-upload-url: //Ip')
    curl -sS --fail-with-body --data-binary "@$1" -H 'x-goog-upload-offset: 0' \
        -H 'x-goog-upload-command: upload, finalize' "$url" | jq -r .file.name
}

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

prompts='{
    "lighthouse": "A lighthouse in a storm, as a woodcut",
    "orchard": "An orchard in spring, in watercolours"
}'
jq -c 'to_entries[] | {key, request: {
    contents: [{parts: [{text: .value}]}],
    generation_config: {response_modalities: ["IMAGE"]}
}}' <<<"$prompts" >pictures.jsonl

name=$(
    jq -n --arg file "$(upload pictures.jsonl)" '{batch: {inputConfig: {fileName: $file}}}' |
        gemini --json @- "$host/v1beta/models/gemini-3.1-flash-image:batchGenerateContent" |
        jq -r .name
)
results=$(ended "$name" | jq -er .response.responsesFile)
gemini -o results.jsonl "$host/download/v1beta/$results:download?alt=media"
jq -r 'select(.error) | "\(.key): \(.error.message)"' results.jsonl >&2
jq -r '
    .key as $key | .response.candidates[0]?.content.parts[]?.inlineData // empty |
    ["\($key).\(.mimeType | split("/")[1])", .data] | @tsv
' results.jsonl | while read -r file data; do
    base64 -d <<<"$data" >"$file"
    echo "$file"
done
