// Asks for birds as JSON of a given shape, waits, and prints a line per bird.
import { setTimeout as sleep } from 'node:timers/promises';
import { GoogleGenAI, Type } from '@google/genai';

const pollMs = Number(process.env.POLL_SECONDS ?? 30) * 1000;
const ends = ['SUCCEEDED', 'FAILED', 'CANCELLED', 'EXPIRED'].map((end) => `JOB_STATE_${end}`);
const places = ['the Alps', 'the North Sea'];
const bird = {
  type: Type.OBJECT,
  properties: { name: { type: Type.STRING }, wingspan_cm: { type: Type.INTEGER } },
  required: ['name', 'wingspan_cm'],
};
const config = {
  responseMimeType: 'application/json',
  responseSchema: { type: Type.ARRAY, items: bird },
};

const client = new GoogleGenAI({});
let batch = await client.batches.create({
  model: 'gemini-3.8-flash',
  src: places.map((place) => ({
    contents: `Which large birds live in ${place}?`,
    metadata: { key: place },
    config,
  })),
});
while (!ends.includes(batch.state)) {
  await sleep(pollMs);
  batch = await client.batches.get({ name: batch.name });
}

for (const { metadata, response } of batch.dest?.inlinedResponses ?? []) {
  const parts = response?.candidates?.[0]?.content?.parts ?? [];
  const text = parts.filter((part) => !part.thought).map((part) => part.text).join('');
  if (!text) console.log(`${metadata.key}: no answer`);
  for (const { name, wingspan_cm } of JSON.parse(text || '[]')) {
    console.log(`${metadata.key}: ${name}, ${wingspan_cm} cm`);
  }
}
