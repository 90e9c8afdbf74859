// Assumes `uploadedFile` is the file object from the previous step
const fileBatchJob = await ai.batches.create({
  model: 'gemini-3.5-flash',
  src: uploadedFile.name,
  config: {
    displayName: 'file-upload-job-1',
  }
});
console.log(fileBatchJob);
