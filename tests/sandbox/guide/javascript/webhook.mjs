import { GoogleGenAI } from "@google/genai";
const client = new GoogleGenAI();
async function createWebhook() {
  const webhook = await client.webhooks.create({
    name: "MyBatchWebhook",
    subscribed_events: ["batch.succeeded", "batch.failed"],
    uri: "https://my-api.com/gemini-callback",
  });
  console.log(`Created webhook: ${webhook.name}`);
}
createWebhook();
