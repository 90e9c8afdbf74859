from google import genai
client = genai.Client()
webhook = client.webhooks.create(
    name="MyBatchWebhook",
    subscribed_events=["batch.succeeded", "batch.failed"],
    uri="https://my-api.com/gemini-callback",
)
print(f"Created webhook: {webhook.name}")
