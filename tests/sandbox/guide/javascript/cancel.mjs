await ai.batches.cancel({name: batchJobToCancel.name});
