"""The REST API: thin, over the same operations as the pages."""
