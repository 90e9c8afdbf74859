// Waits until a batch has ended, `wait.mjs batches/ID`, and prints how.
// Exits with 1, and the reason, where the batch has not succeeded.
import { setTimeout as sleep } from 'node:timers/promises';
import { GoogleGenAI, JobState } from '@google/genai';

const host = process.env.GOOGLE_GEMINI_BASE_URL ?? 'https://generativelanguage.googleapis.com';
const pollMs = Number(process.env.POLL_SECONDS ?? 30) * 1000;
const ends = ['SUCCEEDED', 'FAILED', 'CANCELLED', 'EXPIRED'].map((end) => `JOB_STATE_${end}`);
const name = process.argv[2];

// Gemini's message, which the SDK leaves out: `batch.error` is never set.
async function reason() {
  const headers = { 'x-goog-api-key': process.env.GEMINI_API_KEY };
  const answer = await fetch(`${host}/v1beta/${name}`, { headers });
  const { error } = await answer.json();
  return error?.message ?? 'Gemini gives no reason';
}

const client = new GoogleGenAI({});
let batch = await client.batches.get({ name });
while (!ends.includes(batch.state)) {
  await sleep(pollMs);
  batch = await client.batches.get({ name });
}
console.log(batch.state.replace('JOB_STATE_', ''));
if (batch.state !== JobState.JOB_STATE_SUCCEEDED) {
  console.error(await reason());
  process.exitCode = 1;
}
