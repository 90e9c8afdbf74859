curl https://generativelanguage.googleapis.com/v1beta/batches \
  -H "x-goog-api-key: $GEMINI_API_KEY"
