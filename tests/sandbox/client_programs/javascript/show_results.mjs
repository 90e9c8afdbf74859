// Prints a line per row of a batch that succeeded, `show_results.mjs batches/ID`.
// Exits with 1 where there are no results, or not yet.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GoogleGenAI, JobState } from '@google/genai';

const client = new GoogleGenAI({});
const name = process.argv[2];

// `files.download` hands nothing back: it only writes to the path that it is given.
async function download(file) {
  const folder = await mkdtemp(join(tmpdir(), 'results-'));
  try {
    const downloadPath = join(folder, 'results.jsonl');
    await client.files.download({ file, downloadPath });
    return await readFile(downloadPath, 'utf8');
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function rowsOf({ fileName, inlinedResponses, inlinedEmbedContentResponses }) {
  if (!fileName) return inlinedResponses ?? inlinedEmbedContentResponses ?? [];
  const lines = (await download(fileName)).split('\n');
  return lines.filter((line) => line).map((line) => JSON.parse(line));
}

function answer({ error, response }) {
  if (error) return `error ${error.code}: ${error.message}`;
  if (response.embedding) return `${response.embedding.values.length} numbers`;
  const parts = response.candidates?.[0]?.content?.parts ?? [];
  return parts.filter((part) => !part.thought).map((part) => part.text ?? '').join('');
}

const { state, dest } = await client.batches.get({ name });
if (state === JobState.JOB_STATE_SUCCEEDED && dest) {
  for (const row of await rowsOf(dest)) {
    console.log(`${row.key ?? row.metadata?.key ?? '?'}: ${answer(row)}`);
  }
} else {
  console.error(`${name} has no results: ${state}`);
  process.exitCode = 1;
}
