// Use the name of the job you want to check
// e.g., inlinedBatchJob.name from the previous step
const jobName = "YOUR_BATCH_JOB_NAME";
try {
  const batchJob = await ai.batches.get({ name: jobName });
  if (batchJob.state === 'JOB_STATE_SUCCEEDED') {
    console.log('Found completed batch:', batchJob.displayName);
    console.log(batchJob);
    // If batch job was created with a file destination
    if (batchJob.dest?.fileName) {
      const resultFileName = batchJob.dest.fileName;
      console.log(`Results are in file: ${resultFileName}`);
      console.log("Downloading result file content...");
      const fileContentBuffer = await ai.files.download({ file: resultFileName });
      // Process fileContentBuffer (Buffer) as needed
      console.log(fileContentBuffer.toString('utf-8'));
    }
    // If batch job was created with inline responses
    else if (batchJob.dest?.inlinedResponses) {
      console.log("Results are inline:");
      for (let i = 0; i < batchJob.dest.inlinedResponses.length; i++) {
        const inlineResponse = batchJob.dest.inlinedResponses[i];
        console.log(`Response ${i + 1}:`);
        if (inlineResponse.response) {
          // Accessing response, structure may vary.
          if (inlineResponse.response.text !== undefined) {
            console.log(inlineResponse.response.text);
          } else {
            console.log(inlineResponse.response); // Fallback
          }
        } else if (inlineResponse.error) {
          console.error(`Error: ${inlineResponse.error}`);
        }
      }
    }
    // If batch job was an embedding batch with inline responses
    else if (batchJob.dest?.inlinedEmbedContentResponses) {
      console.log("Embedding results found inline:");
      for (let i = 0; i < batchJob.dest.inlinedEmbedContentResponses.length; i++) {
        const inlineResponse = batchJob.dest.inlinedEmbedContentResponses[i];
        console.log(`Response ${i + 1}:`);
        if (inlineResponse.response) {
          console.log(inlineResponse.response);
        } else if (inlineResponse.error) {
          console.error(`Error: ${inlineResponse.error}`);
        }
      }
    } else {
      console.log("No results found (neither file nor inline).");
    }
  } else {
    console.log(`Job did not succeed. Final state: ${batchJob.state}`);
    if (batchJob.error) {
      console.error(`Error: ${typeof batchJob.error === 'string' ? batchJob.error : batchJob.error.message || JSON.stringify(batchJob.error)}`);
    }
  }
} catch (error) {
  console.error(`An error occurred while processing job ${jobName}:`, error);
}
