"""`verify`: proves a stored batch again from the storage alone."""
