"""What a job writes and reads back: outputs, index, records and manifest."""
