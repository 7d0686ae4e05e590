"""The server: one backbone and a bank of prompts behind HTTP, for those who hold a key, on the record."""
