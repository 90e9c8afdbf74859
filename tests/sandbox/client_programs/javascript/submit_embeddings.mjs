// Embeds an uploaded input file and two texts, `submit_embeddings.mjs files/ID`.
// Prints the names of the two batches.
import { GoogleGenAI } from '@google/genai';

const model = 'gemini-embedding-2';
const texts = ['The harbour at dawn', 'A market hall at noon'];
const sources = {
  'embeddings of a file': { fileName: process.argv[2] },
  'embeddings of two texts': {
    inlinedRequests: { contents: texts, config: { outputDimensionality: 256 } },
  },
};

const client = new GoogleGenAI({});
for (const [displayName, src] of Object.entries(sources)) {
  const batch = await client.batches.createEmbeddings({ model, src, config: { displayName } });
  console.log(batch.name);
}
