// Creating an embeddings batch job with an input file request:
let fileJob;
fileJob = await client.batches.createEmbeddings({
  model: 'gemini-embedding-2',
  src: {fileName: uploadedBatchRequests.name},
  config: {displayName: 'Input embeddings batch'},
});
console.log(`Created batch job: ${fileJob.name}`);
// Creating an embeddings batch job with an inline request:
let batchJob;
batchJob = await client.batches.createEmbeddings({
  model: 'gemini-embedding-2',
  // For a predefined a list of requests `inlinedRequests`
  src: {inlinedRequests: inlinedRequests},
  config: {displayName: 'Inlined embeddings batch'},
});
console.log(`Created batch job: ${batchJob.name}`);
