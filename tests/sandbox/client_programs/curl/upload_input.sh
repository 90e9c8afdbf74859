#!/usr/bin/env bash
# Uploads an input file of two requests; prints the file's name, which submit_file.sh takes.
set -euo pipefail
host=${GOOGLE_GEMINI_BASE_URL:-https://generativelanguage.googleapis.com}
gemini() { curl -sS --fail-with-body -H "x-goog-api-key: $GEMINI_API_KEY" "$@"; }

# Uploads a file in one piece and gives its name.
upload() {
    local start url
    start=$(
        gemini -o /dev/null -D - --json '{"file": {"displayName": "questions"}}' \
            -H 'x-goog-upload-protocol: resumable' -H 'x-goog-upload-command: start' \
            -H 'x-goog-upload-header-content-type: application/jsonl' "$host/upload/v1beta/files"
    )
    url=$(tr -d '\r' <<<"$start" | sed -n 's/^x-goog-upload-url: //Ip')
    curl -sS --fail-with-body --data-binary "@$1" -H 'x-goog-upload-offset: 0' \
        -H 'x-goog-upload-command: upload, finalize' "$url" | jq -r .file.name
}

questions='{
    "volcano": "Why do some volcanoes explode while others flow?",
    "bridge": "Which forces does an arch bridge carry?"
}'
jq -c 'to_entries[] | {key, request: {
    contents: [{role: "user", parts: [{text: .value}]}],
    generation_config: {max_output_tokens: 500}
}}' <<<"$questions" >questions.jsonl
upload questions.jsonl
