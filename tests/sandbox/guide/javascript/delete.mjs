await ai.batches.delete({name: batchJobToDelete.name});
