"""Media types other than JSON: bytes to columns of JSON values, and columns to bytes."""
