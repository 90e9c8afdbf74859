// Has Gemini call a URL whenever a batch ends, `register_webhook.mjs https://…`.
// Prints the webhook's id. Its signing secret, which is shown only once, goes to `webhook-secret`.
import { writeFile } from 'node:fs/promises';
import { GoogleGenAI } from '@google/genai';

const client = new GoogleGenAI({});
const created = await client.webhooks.create({
  name: 'ended',
  uri: process.argv[2],
  subscribed_events: ['batch.succeeded', 'batch.failed', 'batch.cancelled', 'batch.expired'],
});
await writeFile('webhook-secret', created.new_signing_secret, { mode: 0o600 });
console.log(created.id);
