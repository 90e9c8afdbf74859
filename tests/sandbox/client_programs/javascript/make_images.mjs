// Has two pictures made through an input file, waits, and saves each as KEY.png or the like.
import { readFile, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { GoogleGenAI } from '@google/genai';

const pollMs = Number(process.env.POLL_SECONDS ?? 30) * 1000;
const ends = ['SUCCEEDED', 'FAILED', 'CANCELLED', 'EXPIRED'].map((end) => `JOB_STATE_${end}`);
const resultsFile = 'image-results.jsonl';
const prompts = {
  lighthouse: 'A lighthouse in a storm, as a woodcut',
  orchard: 'An orchard in spring, in watercolours',
};
const client = new GoogleGenAI({});

async function submit() {
  const lines = Object.entries(prompts).map(([key, text]) => {
    const request = {
      contents: [{ parts: [{ text }] }],
      generation_config: { response_modalities: ['IMAGE'] },
    };
    return `${JSON.stringify({ key, request })}\n`;
  });
  const mimeType = 'application/jsonl';
  const uploaded = await client.files.upload({
    file: new Blob(lines, { type: mimeType }),
    config: { mimeType },
  });
  return client.batches.create({ model: 'gemini-3.1-flash-image', src: uploaded.name });
}

async function savePicture({ key, response, error }) {
  if (error) console.error(`${key}: ${error.message}`);
  for (const { inlineData } of response?.candidates?.[0]?.content?.parts ?? []) {
    if (!inlineData) continue;
    const file = `${key}.${inlineData.mimeType.split('/')[1]}`;
    await writeFile(file, Buffer.from(inlineData.data, 'base64'));
    console.log(file);
  }
}

let batch = await submit();
while (!ends.includes(batch.state)) {
  await sleep(pollMs);
  batch = await client.batches.get({ name: batch.name });
}
if (batch.dest?.fileName) {
  await client.files.download({ file: batch.dest.fileName, downloadPath: resultsFile });
  const lines = (await readFile(resultsFile, 'utf8')).split('\n');
  for (const line of lines.filter((text) => text)) await savePicture(JSON.parse(line));
} else {
  console.error(`${batch.name} has no results: ${batch.state}`);
  process.exitCode = 1;
}
